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
local watched = {}
for index, key in ipairs(KEYS) do
  watched[index] = redis.call('ZCOUNT', key, now, '+inf')
end
return watched
"""
)
"""Watchers of runs. How many processes follow each."""

ATTACH = Script(
    _NOW
    + """
local older = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
if not older then
  redis.call('PUBLISH', ARGV[4], 'joined ' .. ARGV[5] .. ' ' .. ARGV[6])
elseif older ~= ARGV[2] then
  redis.call('PUBLISH', ARGV[4], 'replaced ' .. older)
end
return 1
"""
)
"""Devices, expiries; device, connection, life, channel, who knows already, client id."""

DETACH = Script(
    """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[3], 'left ' .. ARGV[4] .. ' ' .. ARGV[5])
return 1
"""
)
"""Devices, expiries; device, connection, channel, who knows already, client id. Only if it is still its connection."""

RENEW = Script(
    _NOW
    + """
local found = {}
for index = 4, #ARGV, 2 do
  local device, mine = ARGV[index], ARGV[index + 1]
  local other = redis.call('HGET', KEYS[1], device)
  local outcome = 1
  if other and other ~= mine then
    if ARGV[2] == '1' and other < mine then
      local user = string.match(device, '^[^\\n]*')
      redis.call('PUBLISH', ARGV[3] .. user, 'replaced ' .. other)
    else
      outcome = 2
    end
  elseif not other and ARGV[2] ~= '1' then
    outcome = 0
  end
  if outcome == 1 then
    redis.call('HSET', KEYS[1], device, mine)
    redis.call('ZADD', KEYS[2], now + ARGV[1], device)
  end
  found[#found + 1] = outcome
end
return found
"""
)
"""Devices, expiries; life, whether to register, channels' prefix, then devices and connections in turn.

For each: 1 it is there, 0 it was not, 2 another connection took its place. To register, after an outage, is to put it
there without a word; of two connections then the newer one stays.
"""

SWEEP = Script(
    _NOW
    + """
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 200)
for _, device in ipairs(gone) do
  redis.call('ZREM', KEYS[2], device)
  redis.call('HDEL', KEYS[1], device)
  local user, client = string.match(device, '^([^\\n]*)\\n(.*)$')
  redis.call('PUBLISH', ARGV[1] .. user, 'left - ' .. client)
end
return #gone
"""
)
"""Devices, expiries; channels' prefix. Takes out those whose process renews them no more; one caller tells of each."""

COUNT = Script(_NOW + "return redis.call('ZCOUNT', KEYS[1], now, '+inf')")
"""Expiries. How many devices are connected."""

NOW = Script(_NOW + "return now")

PUBLISH_BEFORE = Script(
    _NOW
    + """
if now > tonumber(ARGV[3]) then return 0 end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""
)
"""No keys; channel, message, deadline. A Redis that was stopped must not tell it when nobody waits any more."""

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
return 1
"""
)
"""Processes, messages of all, of this one, its figures; process, figures, its messages, lives. May be repeated."""

BOARD = Script(_NOW + "return {redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf'), redis.call('GET', KEYS[2])}")
"""Processes, messages of all."""

ALL = (SHIP, DISOWN, WATCH, WATCHED, ATTACH, DETACH, RENEW, SWEEP, COUNT, NOW, PUBLISH_BEFORE, POST, BOARD)
