-- A store as it is stored, in one step. Changes nothing.
-- KEYS store, lease, intents, used, refs, locks   ARGV now ms, store hash
return {
  redis.call('GET', KEYS[1]),
  redis.call('PTTL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('GET', KEYS[4]),
  redis.call('ZCOUNT', KEYS[5], '(' .. ARGV[1], '+inf'),
  redis.call('HGET', KEYS[6], 's:' .. ARGV[2]),
  redis.call('HGET', KEYS[6], 'all'),
}
