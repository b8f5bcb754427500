-- Put another signed part into a reference, if it has the one that was seen; uses, claim, epochs and expiry stay as they are.
-- KEYS ref   ARGV seen, signed
local value = redis.call('GET', KEYS[1])
local front, signed = string.match(value or '', '^(1 %S+ %S+ %S+ )(.+)$')
if signed == ARGV[2] then return 1 end
if signed ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], front .. ARGV[2], 'KEEPTTL')
return 1
