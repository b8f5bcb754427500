-- Take one use of a reference.
-- KEYS ref, epochs   ARGV prefix, identity, access, nonce, minute, member, store patterns…
-- Gives verdict, stored reference, store record. The store's keys follow from the grant and lie in the same slot as the reference.
local verdict, value, grant, uses, claim = read(KEYS[1], KEYS[2])
if verdict ~= 'ok' and verdict ~= 'used_up' then return {verdict} end
if grant.audience ~= ARGV[2] then return {'wrong_caller'} end
if grant.access ~= ARGV[3] then return {'wrong_access'} end
local repeated = claim == ARGV[4]
if verdict == 'used_up' and not repeated then return {verdict} end
local allowed = false
for i = 7, #ARGV do allowed = allowed or string.find(grant.store_hash, ARGV[i]) ~= nil end
if not allowed then return {'store_forbidden'} end
local line = redis.call('GET', ARGV[1] .. 'store:' .. grant.store_hash)
if not line then return {'store_unknown'} end
if string.sub(line, 1, 9) ~= '1 active ' then return {'store_not_active'} end
if grant.max_uses ~= cjson.null and not repeated then
  local left = tonumber(uses) - 1
  redis.call('SETRANGE', KEYS[1], 2, string.format('%07d', left) .. ' ' .. ARGV[4])
  if left == 0 then redis.call('ZREM', ARGV[1] .. 'refs:' .. grant.store_hash, ARGV[6]) end
end
local used = ARGV[1] .. 'used:' .. grant.store_hash
if redis.call('GET', used) ~= ARGV[5] then redis.call('SET', used, ARGV[5]) end
return {'ok', value, line}
