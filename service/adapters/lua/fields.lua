-- All fields of a hash and what they hold, in turn.
-- KEYS hash
return redis.call('HGETALL', KEYS[1])
