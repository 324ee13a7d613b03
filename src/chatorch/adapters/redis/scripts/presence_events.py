"""What users, and everyone, were told."""

from chatorch.adapters.redis.scripts.script import NOW_IS, Script

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
    NOW_IS
    + """
local sent = {}
for index = 2, #ARGV do
  sent[index - 1] = redis.call('XRANGE', ARGV[1] .. ARGV[index] .. ':sent', '-', '+')
end
return {now, sent}
"""
)
"""No keys; channels' prefix, users. What each was sent."""

NOW = Script(NOW_IS + "return now")

ANNOUNCE = Script(
    NOW_IS
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

ANNOUNCED = Script(NOW_IS + "return {now, redis.call('XRANGE', KEYS[1], '-', '+')}")
"""Announcements."""
