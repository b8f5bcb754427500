-- Prepended to every script that reads references: what a stored reference says, and whether it is live.
-- The grant is read here before its MAC is verified; whoever gets the answer verifies it before anything is released.
local function read(ref_key, epochs_key)
  local value = redis.call('GET', ref_key)
  if not value then return 'unknown' end
  local uses, claim, epochs, body = string.match(value, '^1 (%S+) (%S+) (%S+) %S+ %S+ (.+)$')
  if not body then return 'altered', value end
  local readable, grant = pcall(cjson.decode, body)
  if not readable or type(grant) ~= 'table' or type(grant.store_hash) ~= 'string'
    or type(grant.audience) ~= 'string' or type(grant.minted_by) ~= 'string'
    or (grant.max_uses ~= cjson.null and uses ~= 'revoked' and not string.match(uses, '^%d+$')) then
    return 'altered', value
  end
  if uses == 'revoked' then return 'revoked', value, grant end
  local current = redis.call('HMGET', epochs_key, 'all', 's:' .. grant.store_hash,
    'c:' .. grant.minted_by, 'c:' .. grant.audience)
  for i = 1, 4 do current[i] = current[i] or '0' end
  if table.concat(current, '.') ~= epochs then return 'revoked', value, grant end
  if tonumber(uses) == 0 then return 'used_up', value, grant, uses, claim end
  return 'ok', value, grant, uses, claim
end

