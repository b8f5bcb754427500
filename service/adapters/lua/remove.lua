-- Remove a store if its record is as it was seen; whoever is issuing for it becomes stale. Intents stay: they prove what may be upstream.
-- KEYS store, fence, stores, used, refs   ARGV seen, store hash
local current = redis.call('GET', KEYS[1])
if not current then return 1 end
if current ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('UNLINK', KEYS[5])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('INCR', KEYS[2])
return 1
