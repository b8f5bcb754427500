-- Take the upstream's word that less is left of a pool than was thought; never that more is.
-- KEYS budget   ARGV pool, left, until, now
local book = read_book(KEYS[1], tonumber(ARGV[4]))
local left, ends = tonumber(ARGV[2]), tonumber(ARGV[3])
local told = book.told[ARGV[1]]
if told then left, ends = math.min(left, told.left), math.max(ends, told.ends) end
redis.call('HSET', KEYS[1], 'told ' .. ARGV[1], string.format('%.0f %.0f', ends, left))
redis.call('PEXPIRE', KEYS[1], KEEP)
