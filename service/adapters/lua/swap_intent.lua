-- Put another signed part into an intent, if it has the one that was seen; the fence in front of it stays as it is.
-- KEYS intents   ARGV attempt id, seen, signed
local fence, signed = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%S+) (.+)$')
if signed == ARGV[3] then return 1 end
if signed ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], fence .. ' ' .. ARGV[3])
return 1
