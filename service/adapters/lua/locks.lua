-- The locks of a partition. Changes nothing.
-- KEYS locks
return redis.call('HGETALL', KEYS[1])
