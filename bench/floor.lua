-- What any redeeming script must do at least: read a record, read its JSON, count it down in place, read a second record.
-- KEYS reference, store
local value = redis.call('GET', KEYS[1])
local grant = cjson.decode(string.sub(value, 10))
local left = tonumber(string.sub(value, 3, 9)) - 1
if left < 1 then left = 9999999 end
redis.call('SETRANGE', KEYS[1], 2, string.format('%07d', left))
return {grant.access, value, redis.call('GET', KEYS[2])}
