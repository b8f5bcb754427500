-- A store as it is stored, in one step. Changes nothing.
-- KEYS store, lease, intents, used, refs   ARGV now ms
return {
  redis.call('GET', KEYS[1]),
  redis.call('PTTL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('GET', KEYS[4]),
  redis.call('ZCOUNT', KEYS[5], '(' .. ARGV[1], '+inf'),
}
