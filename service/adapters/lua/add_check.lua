-- Write a key's check value if there is none, and give the one that stands.
-- KEYS checks   ARGV key id, check
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])
