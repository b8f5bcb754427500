-- Replace the record if nobody is issuing and it is as it was seen, or was replaced by this already.
-- KEYS store, lease   ARGV seen, line
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local current = redis.call('GET', KEYS[1])
if current == ARGV[2] then return 1 end
if current ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
