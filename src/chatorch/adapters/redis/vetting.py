"""Whether a Redis will do: it takes writes, its user has all rights, and it is none that would not serve us.

Looking needs no right but those that are looked for.
"""

import re
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ResponseError

from chatorch.adapters.redis.faults import Unusable, fault_of, lacking, lacks_rights
from chatorch.adapters.redis.scripts import ALL, Command, Script

SCRATCH_MS = 1000

_CALL = re.compile(r"redis\.call\('([A-Z]+)'")
_SINGLE = frozenset({"PUBLISH", "XRANGE", "GET", "ZREM"})
"""What is sent without a script."""

IN_SCRIPTS = frozenset(name for script in ALL for name in _CALL.findall(script.source)) | _SINGLE | {"SET", "PEXPIRE"}

COMMANDS = frozenset(f"+{name.lower()}" for name in IN_SCRIPTS) | {
    *("+ping", "+subscribe", "+unsubscribe", "+evalsha", "+script|load")
}
"""What the user must be allowed, in the words of Redis's ACL; and ``+select``, unless the database's number is 0."""

TRY = Script(
    """
local refused = {}
for index = 1, #ARGV do
  local attempt, answer = {ARGV[index]}, nil
  repeat
    answer = redis.pcall(unpack(attempt))
    local wrong = type(answer) == 'table' and answer.err
    local more = wrong and string.find(string.lower(wrong), 'wrong number of arg', 1, true)
    attempt[#attempt + 1] = #attempt == 1 and KEYS[1] or '0'
  until not more or #attempt > 8
  if type(answer) == 'table' and answer.err then refused[#refused + 1] = {ARGV[index], answer.err} end
end
redis.pcall('PEXPIRE', KEYS[1], 1000)
return refused
"""
)
"""A key of no meaning; commands. Each is given as many arguments as it needs, on that key. Those that failed, and why.

Most fail, because what they are given is nonsense; Redis looks at the rights first.
"""

WRITE = Script("return redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])")
"""A key of no meaning; its life. Fails where a write does."""

_TWO_SLOTS = Script("return #KEYS")
"""Two keys. A cluster refuses them."""

SOURCES = tuple(script.source for script in (*ALL, WRITE, TRY, _TWO_SLOTS))


def scratch(prefix: str, process: str) -> str:
    return f"{prefix}scratch:{process}"


def writing(prefix: str, process: str) -> Command:
    return WRITE([scratch(prefix, process)], SCRATCH_MS)


async def vet(connection: AbstractConnection, prefix: str, process: str) -> ResponseError | None:
    """Raises whatever is wrong, where the connection is of no use: `Unusable`, or an error of the library's.

    Returns what a write is refused with for now, on a Redis that serves readers meanwhile. One round trip.
    """
    key = scratch(prefix, process)
    commands: list[Command] = [
        ("PING",),
        *(("SCRIPT", "LOAD", source) for source in SOURCES),
        _TWO_SLOTS([key, f"{key}:2"]),
        TRY([key], *sorted(IN_SCRIPTS)),
        ("SUBSCRIBE", key),
        ("UNSUBSCRIBE", key),
        writing(prefix, process),
    ]
    answers = await _answers(connection, commands)
    if missing := _missing(f"{prefix}*", commands, answers):
        raise Unusable(lacking(sorted(missing)))
    *before, refusal = answers
    for answer in before:
        if isinstance(answer, ResponseError):
            raise answer
    if not isinstance(refusal, ResponseError):
        return None
    if not fault_of(refusal).refuses:
        raise refusal
    return refusal


async def _answers(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    """With the error in the place of each that was refused."""
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response())
        except ResponseError as error:
            answers.append(error)
    return answers


def _missing(pattern: str, commands: Sequence[Command], answers: Sequence[Any]) -> set[str]:
    """The rules that the user lacks."""
    refusals = []
    for command, answer in zip(commands, answers, strict=True):
        name = str(command[0]).lower()
        if isinstance(answer, NoPermissionError):
            refusals.append((f"+{name}|load" if name == "script" else f"+{name}", f"NOPERM {answer}"))
        elif isinstance(answer, list) and name == "evalsha":
            refusals += [(f"+{tried.decode().lower()}", why.decode(errors="replace")) for tried, why in answer]
    return {_rule(rule, why, pattern) for rule, why in refusals if lacks_rights(why)}


def _rule(rule: str, why: str, pattern: str) -> str:
    if re.search(r"\bkeys?\b", why):
        return f"~{pattern}"
    return f"&{pattern}" if re.search(r"\bchannels?\b", why) else rule


def rights(number: int = 0) -> list[str]:
    """The rules that suffice, for a database of this number."""
    return sorted(COMMANDS | ({"+select"} if number else frozenset()))
