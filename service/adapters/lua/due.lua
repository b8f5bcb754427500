-- The stores of a partition that have to be looked at by now, the longest overdue first.
-- KEYS due   ARGV now ms, limit
return redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
