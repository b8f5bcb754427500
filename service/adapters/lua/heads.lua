-- Give writers in order of their names, each with its head.
-- KEYS heads, writers   ARGV after, limit
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGET', KEYS[1], name) or ''
end
return found
