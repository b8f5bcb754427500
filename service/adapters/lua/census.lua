-- Write how many stores there are, if told so, and give what was written last.
-- KEYS census   ARGV keep ms (0: only read), then what and how many, in turn
if ARGV[1] ~= '0' then
  redis.call('DEL', KEYS[1])
  for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
