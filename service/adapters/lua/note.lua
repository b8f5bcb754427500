-- Note something if what was noted before is as it was seen, or is this already.
-- KEYS note   ARGV seen or '', what
local current = redis.call('GET', KEYS[1]) or ''
if current == ARGV[2] then return 1 end
if current ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
