-- Raise an epoch in one partition: everything minted before is revoked at once.
-- KEYS epochs, stores   ARGV epoch's name, prefix, store hash (for an epoch of one store)
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
local emptied = {}
if ARGV[3] ~= '' then emptied = {ARGV[3]}
elseif ARGV[1] == 'all' then emptied = redis.call('ZRANGE', KEYS[2], 0, -1) end
for _, store in ipairs(emptied) do redis.call('UNLINK', ARGV[2] .. 'refs:' .. store) end
return 1
