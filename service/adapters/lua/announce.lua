-- Say something under a name for a while (if there is a name), drop what has come to its end, and give what all say.
-- One clock, that of Redis, so that replicas whose clocks differ do not drop each other.
-- KEYS announced   ARGV name or '', what, keep ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + tonumber(ARGV[3])) .. ' ' .. ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local flat, said = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #flat, 2 do
  local ends, what = string.match(flat[i + 1], '^(%d+) (.*)$')
  if ends and tonumber(ends) > now then
    said[#said + 1] = flat[i]
    said[#said + 1] = what
  elseif ARGV[1] ~= '' then
    redis.call('HDEL', KEYS[1], flat[i])
  end
end
return said
