"""Which devices are connected."""

from chatorch.adapters.redis.scripts.script import NOW_IS, Script

_CLAIM = (
    NOW_IS
    + """
local users, life, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[6])
local epoch = redis.call('HGET', KEYS[2], 'epoch')

local function number(rank)
  local its_number, its_epoch = string.match(rank, '^(%d+)@(.*)$')
  return its_epoch == epoch and tonumber(its_number) or nil
end

local function next_rank(above)
  local last = redis.call('HINCRBY', KEYS[2], 'last', 1)
  if above and last <= above then
    last = above + 1
    redis.call('HSET', KEYS[2], 'last', string.format('%.0f', last))
  end
  return string.format('%.0f', last) .. '@' .. epoch
end

local function claim(user, client, name, age, rank, fresh)
  local devices, replaced = users .. user .. ':devices', users .. user .. ':replaced:'
  local mine, began, above, word = number(rank), now - age, nil, nil
  if not mine and redis.call('EXISTS', replaced .. name) == 1 then return 0 end
  local other = redis.call('HGET', devices, client)
  if not other then
    if redis.call('HLEN', devices) >= most then return -1 end
    word = 'joined ' .. client
  else
    local other_rank, other_began, other_name = string.match(other, '^(%S+) (%d+) (.*)$')
    above = number(other_rank)
    if other_name == name then
      rank, mine = other_rank, above
    elseif mine and above then
      if mine < above then return 0 end
    else
      local newest = fresh == '1' and tonumber(age) < 1000
      if not newest and tonumber(other_began) > began then return 0 end
      mine = nil
    end
    if other_name ~= name then
      redis.call('SET', replaced .. other_name, '', 'PX', 2 * life)
      word = 'replaced ' .. other_name
    end
  end
  if not mine then rank = next_rank(above) end
  redis.call('HSET', devices, client, rank .. ' ' .. string.format('%.0f', began) .. ' ' .. name)
  redis.call('PEXPIRE', devices, 2 * life)
  redis.call('ZADD', KEYS[1], now + life, user .. '\\n' .. client)
  if word then redis.call('PUBLISH', users .. user, word) end
  return rank
end
"""
)
"""Expiries, ranks; channels' prefix, life, most devices of a user, then of each claim user, client id, connection, its
age, its rank or nothing, and whether it has come just now.

A connection's rank is given to it once, by a counter, when it becomes its device's; from then on the higher rank stays,
whatever the clocks say, and however often or late something is asked again. The counter's `epoch` changes where Redis
has lost it: ranks of another epoch count for nothing.

Who has no rank yet is the newest where it has come just now; else it came while Redis was away, or so was its answer,
and the ages decide, once. What has been replaced is remembered until it must have heard so: it cannot ask to be judged
again.

The outcome is 0: a newer connection of this device is there. -1: the user has too many devices. Else the rank.
"""

CLAIM = Script(
    _CLAIM
    + """
local outcomes = {}
for index = 4, #ARGV, 6 do
  outcomes[#outcomes + 1] = claim(unpack(ARGV, index, index + 5))
end
return outcomes
"""
)
"""See `_CLAIM`: the outcome of each."""

ATTACH = Script(
    _CLAIM
    + """
local outcome = claim(unpack(ARGV, 4))
return {{outcome}, redis.call('HKEYS', users .. ARGV[4] .. ':devices')}
"""
)
"""See `_CLAIM`: of one claim the outcome, as `CLAIM` has it, and the client ids of all the user's devices."""

DETACH = Script(
    """
local devices = ARGV[1] .. ARGV[2] .. ':devices'
local other = redis.call('HGET', devices, ARGV[3])
local name = other and string.match(other, '^%S+ %d+ (.*)$')
if name and name ~= ARGV[4] and name ~= ARGV[5] then return 0 end
redis.call('HDEL', devices, ARGV[3])
redis.call('ZREM', KEYS[1], ARGV[2] .. '\\n' .. ARGV[3])
redis.call('PUBLISH', ARGV[1] .. ARGV[2], 'left ' .. ARGV[3])
return 1
"""
)
"""Expiries; channels' prefix, user, client id, connection, one before it. Unless the device has another connection."""

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
