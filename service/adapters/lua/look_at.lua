-- Have a store looked at by a certain time, or sooner if that was asked for already.
-- KEYS due   ARGV store hash, at ms
redis.call('ZADD', KEYS[1], 'LT', ARGV[2], ARGV[1])
return 1
