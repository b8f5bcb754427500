-- Make one reference useless; it stays, marked, until it expires, so that a later use is known for what it is.
-- KEYS ref, refs   ARGV member
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SETRANGE', KEYS[1], 2, 'revoked')
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
