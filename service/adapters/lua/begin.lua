-- Take the lease, and write record and intent, if nobody holds it and the record is as it was seen.
-- Somebody looks at the store when the lease has ended, however this goes on.
-- KEYS store, lease, fence, intents, stores, due, locks   ARGV owner, span ms, seen, line, attempt id, intent, store hash, ends ms
-- Gives the fence, what locks the store, or nothing.
local holder = redis.call('GET', KEYS[2])
if holder == ARGV[1] then return tonumber(redis.call('GET', KEYS[3])) end
if holder or (redis.call('GET', KEYS[1]) or '') ~= ARGV[3] then return false end
local why = locked(KEYS[7], ARGV[7])
if why then return why end
local fence = redis.call('INCR', KEYS[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[4])
  redis.call('ZADD', KEYS[5], 0, ARGV[7])
end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[4], ARGV[5], fence .. ' ' .. ARGV[6]) end
redis.call('ZADD', KEYS[6], ARGV[8], ARGV[7])
return fence
