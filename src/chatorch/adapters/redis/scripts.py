"""What Redis must do in one step. Every script names its keys and arguments; times are Redis's own, in milliseconds."""

import hashlib

Argument = str | bytes | int
Command = tuple[Argument, ...]


class Script:
    """One Lua script, called by its digest; the link loads it where Redis does not know it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: list[str], *arguments: Argument) -> Command:
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)


_PLACE = """
local function place(log, epoch, seq)
  local top = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not top then return 'ahead' end
  local its_epoch, its_seq = string.match(top[1], '^(%d+)-(%d+)$')
  its_epoch, its_seq = tonumber(its_epoch), tonumber(its_seq)
  if its_epoch ~= epoch then return its_epoch > epoch and 'refused' or 'ahead' end
  if its_seq == seq then return 'known' end
  return its_seq > seq and 'behind' or 'ahead'
end
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

SHIP = Script(
    _PLACE
    + """
local function ship(log, base, epoch, seq, entry, whole, life, channel)
  local at = place(log, tonumber(epoch), tonumber(seq))
  if at == 'refused' then return 0 end
  if at == 'behind' then return 1 end
  if whole == '' and redis.call('EXISTS', base) == 0 then return 2 end
  local id = epoch .. '-' .. seq
  if at ~= 'known' then redis.call('XADD', log, id, 'e', entry) end
  if whole ~= '' then
    redis.call('SET', base, whole)
    redis.call('XTRIM', log, 'MINID', id)
  end
  redis.call('PEXPIRE', log, life)
  redis.call('PEXPIRE', base, life)
  redis.call('PUBLISH', channel, entry)
  return 1
end
local outcomes = {}
for run = 1, #KEYS / 2 do
  outcomes[run] = ship(KEYS[run * 2 - 1], KEYS[run * 2], unpack(ARGV, run * 6 - 5, run * 6))
end
return outcomes
"""
)
"""For each run log, base; for each epoch, seq, entry, new base or nothing, life, channel.

Adds the entries and tells them.

0: a later epoch has spoken, nothing is stored or told. 1: done. 2: the base is gone and must be told again.
An entry that lies behind what is there was held up on a connection long given up, and is ignored.
"""

DISOWN = Script(
    _PLACE
    + """
local at = place(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
if at == 'refused' then return 0 end
if at ~= 'known' then redis.call('XADD', KEYS[1], ARGV[1] .. '-' .. ARGV[2], 'e', ARGV[3]) end
redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)
redis.call('DEL', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[3])
return 1
"""
)
"""Log, base; epoch, the last seq, entry, life, channel. Puts an entry in place of all that is there, and tells it."""

WATCH = Script(
    _NOW
    + """
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', key, ARGV[2])
end
return 1
"""
)
"""Watchers of runs; process, life. This process follows them."""

WATCHED = Script(
    _NOW
    + """
redis.call('SET', ARGV[1], now, 'PX', ARGV[2])
local watched = {}
for index, key in ipairs(KEYS) do
  watched[index] = redis.call('ZCOUNT', key, now, '+inf')
end
return watched
"""
)
"""Watchers of runs; a key of no meaning, its life. How many processes follow each.

It writes, because it must fail where `WATCH` does: in a Redis that is full, or a replica, nobody can show that it
watches, and nobody must be taken to be gone.
"""

_REGISTER = (
    _NOW
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
    _NOW
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

SEND = Script(
    """
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], '*', 'a', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""
)
"""What a user was sent; channel, message, life, how many are kept."""

SENT = Script(
    _NOW
    + """
local sent = {}
for index = 2, #ARGV do
  sent[index - 1] = redis.call('XRANGE', ARGV[1] .. ARGV[index] .. ':sent', '-', '+')
end
return {now, sent}
"""
)
"""No keys; channels' prefix, users. What each was sent."""

COUNT = Script(_NOW + "return redis.call('ZCOUNT', KEYS[1], now, '+inf')")
"""Expiries. How many devices are connected."""

NOW = Script(_NOW + "return now")

ANNOUNCE = Script(
    _NOW
    + """
if now > tonumber(ARGV[3]) then return 0 end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[5], '*', 'a', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[1], id .. ' ' .. ARGV[2])
return 1
"""
)
"""Announcements; channel, message, deadline, life, how many are kept.

A Redis that was stopped must not tell it when nobody waits any more.
"""

ANNOUNCED = Script(_NOW + "return {now, redis.call('XRANGE', KEYS[1], '-', '+')}")
"""Announcements."""

POST = Script(
    _NOW
    + """
local before = tonumber(redis.call('GET', KEYS[3]) or 0)
if tonumber(ARGV[3]) > before then
  redis.call('INCRBY', KEYS[2], ARGV[3] - before)
  before = ARGV[3]
end
redis.call('SET', KEYS[3], before, 'PX', ARGV[5])
redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[4])
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local member = '@' .. ARGV[1]
local added = redis.call('HGET', KEYS[5], member)
if not added and ARGV[8] ~= '1' then return 0 end
if not added or tonumber(ARGV[7]) > tonumber(added) then
  for index = 9, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[5], ARGV[index], ARGV[index + 1]) end
  redis.call('HSET', KEYS[5], member, ARGV[7])
end
redis.call('PEXPIRE', KEYS[5], ARGV[6])
return 1
"""
)
"""Processes, messages of all, of this one, its figures, sums of its server; process, figures, its messages, lives,
number of what is added to the sums, whether that is all that it has counted, then name and growth of each.

0: what it added before is not there, and nothing was added now. 1: done. May be repeated.
"""

BOARD = Script(
    _NOW
    + """
local shown = {}
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  local figures = process ~= ARGV[1] and redis.call('GET', KEYS[1] .. ':' .. process)
  if figures then
    shown[#shown + 1] = process
    shown[#shown + 1] = figures
  end
end
local processed = (redis.call('GET', KEYS[2]) or 0) - (redis.call('GET', KEYS[3]) or 0)
return {shown, processed, redis.call('HGETALL', KEYS[4])}
"""
)
"""Processes, messages of all, of this one, sums of its server; process. What others show and have processed."""

ALL = (
    *(SHIP, DISOWN, WATCH, WATCHED),
    *(ATTACH, RENEW, DETACH, SWEEP, DEVICES, SEND, SENT, COUNT),
    *(NOW, ANNOUNCE, ANNOUNCED, POST, BOARD),
)
