"""What processes show of themselves."""

from chatorch.adapters.redis.scripts.script import NOW_IS, Script

POST = Script(
    NOW_IS
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
    NOW_IS
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
