-- Remove a store if its record is as it was seen; whoever is issuing for it becomes stale. Intents stay: they prove what may be upstream.
-- What was minted while it was being removed is revoked, so that it does not come back with a new store of this hash.
-- KEYS store, fence, stores, used, refs, epochs   ARGV seen, store hash
local current = redis.call('GET', KEYS[1])
if not current then return 1 end
if current ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('UNLINK', KEYS[5])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('INCR', KEYS[2])
redis.call('HINCRBY', KEYS[6], 's:' .. ARGV[2], 1)
return 1
