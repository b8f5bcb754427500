-- Lock a store that is known, or with no store's key everything of a partition; a lock that is on already stays as it is.
-- KEYS locks[, store]   ARGV field, note
-- Gives the note in force, or nothing for a store that is not known.
local note = redis.call('HGET', KEYS[1], ARGV[1])
if note then return note end
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then return false end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
