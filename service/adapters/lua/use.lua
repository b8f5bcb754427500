
-- Take one use of a reference, and for the proxy one request of the store's budget.
-- KEYS ref, epochs   ARGV prefix, identity, access, nonce, now, member, limit, endpoint, its limit, store patterns…
-- Gives verdict, stored reference, store record, and for the proxy: pool, its limit, left, open to this caller, milliseconds until more;
-- when the request is let through this is of the pool that the upstream knows, and the same follows of the one that ends first.
-- The store's keys follow from the grant and lie in the same slot as the reference.
local verdict, value, grant, uses, claim = read(KEYS[1], KEYS[2])
if verdict ~= 'ok' and verdict ~= 'used_up' then return {verdict} end
if grant.audience ~= ARGV[2] then return {'wrong_caller'} end
if grant.access ~= ARGV[3] then return {'wrong_access'} end
local repeated = claim == ARGV[4]
if verdict == 'used_up' and not repeated then return {verdict} end
local allowed = false
for i = 10, #ARGV do allowed = allowed or string.find(grant.store_hash, ARGV[i]) ~= nil end
if not allowed then return {'store_forbidden'} end
local why = locked(ARGV[1] .. 'locks', grant.store_hash)
if why then return {why} end
local line = redis.call('GET', ARGV[1] .. 'store:' .. grant.store_hash)
if not line then return {'store_unknown'} end
if string.sub(line, 1, 9) ~= '1 active ' then return {'store_not_active'} end
local now = tonumber(ARGV[5])
local answer = {'ok', value, line}
if ARGV[3] == 'proxy' then
  local book = read_book(ARGV[1] .. 'budget:' .. grant.store_hash, now)
  local limit, endpoint = tonumber(ARGV[7]), ARGV[8]
  local shown = judge(book, 'store', ARGV[2], limit, true)
  local asked, pools = {{shown, 'budget'}}, {'store'}
  if endpoint ~= '' then
    shown = judge(book, endpoint, ARGV[2], tonumber(ARGV[9]), true)
    table.insert(asked, 1, {shown, 'endpoint_budget'})
    pools[#pools + 1] = endpoint
  end
  local rate = grant.max_rate
  if type(rate) == 'table' and tonumber(rate.per_minute) and type(rate.under) == 'string' then
    -- One pool for each audience, so that there is nobody to share with.
    local pool = 'max_rate ' .. ARGV[2] .. ' ' .. rate.under
    table.insert(asked, 1, {judge(book, pool, ARGV[2], tonumber(rate.per_minute), false), 'max_rate'})
    pools[#pools + 1] = pool
  end
  if not repeated and book.nonce ~= ARGV[4] then
    for _, each in ipairs(asked) do
      local found, reason = each[1], each[2]
      if found.open < 1 then
        if found.left > 0 then reason = 'caller_share' end
        local pool = string.match(found.pool, '^%S+')
        return {reason, '', '', pool, found.limit, found.left, 0, found.wait}
      end
    end
    spend(book, pools, ARGV[2], ARGV[4])
    for _, each in ipairs(asked) do each[1].left, each[1].open = each[1].left - 1, each[1].open - 1 end
  end
  local nearest = shown
  for _, each in ipairs(asked) do if each[1].open < nearest.open then nearest = each[1] end end
  for _, found in ipairs({shown, nearest}) do
    for _, told in ipairs({string.match(found.pool, '^%S+'), found.limit, found.left, math.max(0, found.open), found.wait}) do
      answer[#answer + 1] = told
    end
  end
end
if grant.max_uses ~= cjson.null and not repeated then
  local left = tonumber(uses) - 1
  redis.call('SETRANGE', KEYS[1], 2, string.format('%07d', left) .. ' ' .. ARGV[4])
  if left == 0 then redis.call('ZREM', ARGV[1] .. 'refs:' .. grant.store_hash, ARGV[6]) end
end
local used, minute = ARGV[1] .. 'used:' .. grant.store_hash, string.format('%.0f', math.floor(now / 60000))
if redis.call('GET', used) ~= minute then redis.call('SET', used, minute) end
return answer
