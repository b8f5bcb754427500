-- Prepended to the scripts that count requests to the upstream: what of a store's minute is spent, by whom, and who may have more (ADR 21).
-- A hash with one field `<slot> <identity> <pool>` for the requests that began within a slot; `told <pool>` is `<until> <left>`, what the
-- upstream itself said; `nonce` is that of the latest request. A slot counts until it is a minute and a margin old, so that requests which
-- overtake each other on their way, and clocks that differ a little, never make more than the limit within one minute of the upstream's.
local SLOT, SLOTS, KEEP = 2000, 31, 310000

local function read_book(key, now)
  local book = {key = key, now = now, slot = math.floor(now / SLOT), rows = {}, told = {}, stale = {}}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local slot, who, pool = string.match(flat[i], '^(%d+) (%S+) (.+)$')
    if slot and math.abs(book.slot - slot) <= SLOTS then
      book.rows[#book.rows + 1] = {slot = tonumber(slot), who = who, pool = pool, count = tonumber(flat[i + 1]) or 0}
    elseif flat[i] == 'nonce' then
      book.nonce = flat[i + 1]
    else
      local told = string.match(flat[i], '^told (.+)$')
      local ends, left = string.match(flat[i + 1], '^(%d+) (%d+)$')
      if told and ends and tonumber(ends) > now then
        book.told[told] = {ends = tonumber(ends), left = tonumber(left)}
      else
        book.stale[#book.stale + 1] = flat[i]
      end
    end
  end
  return book
end

-- A caller may have had up to nine times what is left. So nobody takes the last tenth alone, the more callers there are the less each
-- can have, and whoever had nothing yet is let through as long as there is anything.
local function open(left, mine, shared)
  if not shared then return left end
  return math.min(left, math.ceil((9 * left - mine) / 10))
end

-- What one pool has for a caller: `left` of it, `open` to this caller, and `wait` in milliseconds until there is more.
local function judge(book, pool, identity, limit, shared)
  local all, mine, slots, by_slot = 0, 0, {}, {}
  for _, row in ipairs(book.rows) do
    if row.pool == pool then
      local sums = by_slot[row.slot]
      if not sums then
        sums = {all = 0, mine = 0}
        by_slot[row.slot] = sums
        slots[#slots + 1] = row.slot
      end
      sums.all, all = sums.all + row.count, all + row.count
      if row.who == identity then sums.mine, mine = sums.mine + row.count, mine + row.count end
    end
  end
  table.sort(slots)
  local told = book.told[pool]
  local left = math.max(0, limit - all)
  local found = {pool = pool, limit = limit, left = left, open = open(left, mine, shared)}
  found.wait = ((slots[1] or book.slot) + SLOTS + 1) * SLOT - book.now
  if found.open < 1 then
    local all_then, mine_then = all, mine
    for _, slot in ipairs(slots) do
      found.wait = (slot + SLOTS + 1) * SLOT - book.now
      all_then, mine_then = all_then - by_slot[slot].all, mine_then - by_slot[slot].mine
      if open(limit - all_then, mine_then, shared) >= 1 then break end
    end
  end
  if told and told.left < left then
    -- The upstream's window ends all at once, ours slides: whoever had much is then let through by what is left of ours.
    found.wait = math.max(found.open < 1 and found.wait or 0, told.ends - book.now)
    found.left, found.open = told.left, math.min(found.open, open(told.left, mine, shared))
  end
  return found
end

local function spend(book, pools, identity, nonce)
  for _, pool in ipairs(pools) do
    redis.call('HINCRBY', book.key, string.format('%.0f', book.slot) .. ' ' .. identity .. ' ' .. pool, 1)
    local told = book.told[pool]
    if told then
      local left = math.max(0, told.left - 1)
      redis.call('HSET', book.key, 'told ' .. pool, string.format('%.0f %.0f', told.ends, left))
    end
  end
  redis.call('HSET', book.key, 'nonce', nonce)
  for _, field in ipairs(book.stale) do redis.call('HDEL', book.key, field) end
  redis.call('PEXPIRE', book.key, KEEP)
end

