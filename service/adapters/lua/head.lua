-- Put a writer's head in the place of the one before, forget those of long ago, and give the recent ones as they were.
-- KEYS heads, recent, writers   ARGV writer, head, now ms, forget before ms, recent since ms, limit
local names = redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', ARGV[5], 'LIMIT', 0, ARGV[6])
local found = {}
if #names > 0 then found = redis.call('HMGET', KEYS[1], unpack(names)) end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
  redis.call('ZREM', KEYS[3], old)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[1])
for place = 1, #names do found[place] = found[place] or '' end
return found
