-- Note that a store was looked at, and when to look again (0: not at all), unless somebody has asked since for a later time.
-- KEYS due   ARGV store hash, when ms, again ms
local asked = redis.call('ZSCORE', KEYS[1], ARGV[1])
if asked and tonumber(asked) > tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1
