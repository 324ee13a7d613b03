"""Which devices are connected."""

from chatorch.adapters.redis.scripts.script import NOW_IS, Script

_REGISTER = (
    NOW_IS
    + """
local function register(users, life, user, client, name, age, first)
  local devices, began, word = users .. user .. ':devices', now - age, nil
  local other = redis.call('HGET', devices, client)
  if not other then
    word = 'joined ' .. client
  else
    local other_began, other_name = string.match(other, '^(%d+) (.*)$')
    if other_name ~= name then
      local newest = first == '1' and tonumber(age) < 2000
      if not newest and tonumber(other_began) > began then return 0 end
      word = 'replaced ' .. other_name
    end
  end
  redis.call('HSET', devices, client, string.format('%.0f', began) .. ' ' .. name)
  redis.call('PEXPIRE', devices, 2 * life)
  redis.call('ZADD', KEYS[1], now + life, user .. '\\n' .. client)
  if word then redis.call('PUBLISH', users .. user, word) end
  return 1
end
"""
)

ATTACH = Script(
    _REGISTER
    + """
local outcome = register(unpack(ARGV))
return {outcome, redis.call('HKEYS', ARGV[1] .. ARGV[3] .. ':devices')}
"""
)
"""Expiries; channels' prefix, life, user, client id, connection, its age, whether it has come just now.

0: a newer connection of this device is there. 1: done. And the client ids of all the user's devices. One that has come
just now, and not two seconds ago, is the newest, whatever the clocks say.
"""

RENEW = Script(
    _REGISTER
    + """
local outcomes = {}
for index = 3, #ARGV, 4 do
  outcomes[#outcomes + 1] = register(ARGV[1], ARGV[2], unpack(ARGV, index, index + 3))
end
return outcomes
"""
)
"""Expiries; channels' prefix, life, then user, client id, connection and age of each. For each as `ATTACH`."""

DETACH = Script(
    """
local devices = ARGV[1] .. ARGV[2] .. ':devices'
local other = redis.call('HGET', devices, ARGV[3])
if other and string.match(other, '^%d+ (.*)$') ~= ARGV[4] then return 0 end
redis.call('HDEL', devices, ARGV[3])
redis.call('ZREM', KEYS[1], ARGV[2] .. '\\n' .. ARGV[3])
redis.call('PUBLISH', ARGV[1] .. ARGV[2], 'left ' .. ARGV[3])
return 1
"""
)
"""Expiries; channels' prefix, user, client id, connection. Unless the device has another connection."""

SWEEP = Script(
    NOW_IS
    + """
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, device in ipairs(gone) do
  local user, client = string.match(device, '^([^\\n]*)\\n(.*)$')
  redis.call('ZREM', KEYS[1], device)
  redis.call('HDEL', ARGV[1] .. user .. ':devices', client)
  redis.call('PUBLISH', ARGV[1] .. user, 'left ' .. client)
end
return #gone
"""
)
"""Expiries; channels' prefix, how many. Takes out those whose process renews them no more; one caller tells of each."""

DEVICES = Script(
    """
local devices = {}
for index = 2, #ARGV do
  devices[index - 1] = redis.call('HKEYS', ARGV[1] .. ARGV[index] .. ':devices')
end
return devices
"""
)
"""No keys; channels' prefix, users. The client ids of each."""

COUNT = Script(NOW_IS + "return redis.call('ZCOUNT', KEYS[1], now, '+inf')")
"""Expiries. How many devices are connected."""
