-- Prepended to every script that a lock stops: why a store may not be used, or nothing.
local function locked(locks_key, store_hash)
  local notes = redis.call('HMGET', locks_key, 'all', 's:' .. store_hash)
  if notes[1] then return 'all_locked' end
  if notes[2] then return 'store_locked' end
end

