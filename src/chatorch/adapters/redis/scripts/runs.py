"""The logs of runs, and who follows them."""

from chatorch.adapters.redis.scripts.script import NOW_IS, Script

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

PUBLISH = Script(
    _PLACE
    + """
local function publish(log, base, epoch, seq, entry, whole, life, channel)
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
  outcomes[run] = publish(KEYS[run * 2 - 1], KEYS[run * 2], unpack(ARGV, run * 6 - 5, run * 6))
end
return outcomes
"""
)
"""For each run log, base; for each epoch, seq, entry, new base or nothing, life, channel.

Adds the entries and tells them.

0: a later epoch has spoken, nothing is stored or told. 1: done. 2: the base is gone and must be told again.
An entry that lies behind what is there was held up on a connection long given up, and is ignored.
"""

FENCE = Script(
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
    NOW_IS
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
    NOW_IS
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
