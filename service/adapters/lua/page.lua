-- A page of a store's references, the first to expire first.
-- KEYS refs, epochs   ARGV prefix, now ms, after score, after member, limit
-- Gives the members' count and, for each, member, score, verdict and stored reference. Behind a member that is gone meanwhile the page
-- begins at its score again: it may repeat some and leaves none out.
local members
local rank = ARGV[4] ~= '' and redis.call('ZRANK', KEYS[1], ARGV[4])
if rank then
  members = redis.call('ZRANGE', KEYS[1], rank + 1, rank + tonumber(ARGV[5]), 'WITHSCORES')
else
  local from = ARGV[3] ~= '' and ARGV[3] or '(' .. ARGV[2]
  members = redis.call('ZRANGE', KEYS[1], from, '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[5], 'WITHSCORES')
end
local found = {}
for i = 1, #members, 2 do
  local verdict, value = read(ARGV[1] .. 'ref:' .. members[i], KEYS[2])
  found[#found + 1] = {members[i], members[i + 1], verdict, value or false}
end
return found
