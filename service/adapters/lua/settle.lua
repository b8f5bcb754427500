-- End an attempt: write the record if the fence is current and the record as it was, drop the intent unless told to keep it, release
-- the lease. Without a line only the latter two.
-- KEYS store, lease, fence, intents, settled   ARGV owner, fence, seen, line, attempt id, keep intent ('1' or '0')
-- Gives 1, or 0 when the attempt is stale: then its intent stays. 'settled' names the attempt that wrote last, so that asking again
-- after a lost reply gives the same answer even if the record has been changed since.
local current = redis.call('GET', KEYS[1])
local done = ARGV[4] == '' or redis.call('GET', KEYS[5]) == ARGV[5]
if not done and redis.call('GET', KEYS[3]) == ARGV[2] and current == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[4])
  redis.call('SET', KEYS[5], ARGV[5])
  done = true
end
if done and ARGV[6] == '0' then redis.call('HDEL', KEYS[4], ARGV[5]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return done and 1 or 0
