-- Whether anybody has a claim.
-- KEYS claim
return redis.call('EXISTS', KEYS[1])
