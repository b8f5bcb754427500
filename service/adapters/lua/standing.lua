-- Read what says whether a partition is as it was left. Changes nothing.
-- KEYS installed, stores, epochs
-- Gives the installation's mark, and whether anything else that is never removed by itself is there.
return {redis.call('GET', KEYS[1]), redis.call('EXISTS', KEYS[2], KEYS[3])}
