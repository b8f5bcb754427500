-- Store a reference, if its store is active, with the epochs of this moment.
-- KEYS ref, store, epochs, refs, locks   ARGV uses, signed grant, ttl ms, expires ms, minter, audience, member, now ms, store hash
-- Gives 'ok', 'store_unknown', what locks it, or the store's status.
local line = redis.call('GET', KEYS[2])
if not line then return 'store_unknown' end
local why = locked(KEYS[5], ARGV[9])
if why then return why end
local status = string.match(line, '^1 (%S+) ')
if status ~= 'active' then return status or 'quarantined' end
local epochs = redis.call('HMGET', KEYS[3], 'all', 's:' .. ARGV[9], 'c:' .. ARGV[5], 'c:' .. ARGV[6])
for i = 1, 4 do epochs[i] = epochs[i] or '0' end
local value = '1 ' .. ARGV[1] .. ' ---------------- ' .. table.concat(epochs, '.') .. ' ' .. ARGV[2]
redis.call('SET', KEYS[1], value, 'PX', ARGV[3])
-- Each mint sweeps a few that have expired, so that the index never grows beyond what is live by much, and no call has to sweep many.
local expired = redis.call('ZRANGE', KEYS[4], '-inf', ARGV[8], 'BYSCORE', 'LIMIT', 0, 4)
if #expired > 0 then redis.call('ZREM', KEYS[4], unpack(expired)) end
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[7])
if redis.call('PTTL', KEYS[4]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[4], ARGV[3]) end
return 'ok'
