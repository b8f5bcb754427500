-- Mark a partition as installed, if it is not, and give its mark.
-- KEYS installed   ARGV mark
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
