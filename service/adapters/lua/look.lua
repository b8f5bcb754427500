-- Read a reference without using it.
-- KEYS ref, epochs
local verdict, value = read(KEYS[1], KEYS[2])
return {verdict, value or false}
