-- Make every attempt stale that nobody holds the lease for: none of them can write a record any more.
-- KEYS lease, fence
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('INCR', KEYS[2])
return 1
