"""The process of a server that is started here: a group of its own, little of our environment, gone when we are."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress

from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.texts import short

INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
STDIN_CLOSED_S = 0.5
TERMINATED_S = 1.0
EVERY_S = 0.01
MAX_TOLD_CHARS = 200

_TIED = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, kept over exec
except Exception:
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.stderr.write(f"it cannot be executed: {error.strerror}\\n")
    sys.exit(126)
"""
"""126: as a shell has it (POSIX, Shell Command Language, 2.8.2)."""


class NotStarted(OSError):
    """Its text is of our words, and safe to be logged."""


async def start(server: McpServer) -> Process:
    """Raises `NotStarted`."""
    env = environment(server.env)
    program = _program(server.command[0], env.get("PATH"))
    command = _tied((program, *server.command[1:]))
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env, start_new_session=True
        )
    except OSError as error:
        raise NotStarted(f"the program cannot be started ({error.strerror})") from None


def _program(command: str, path: str | None) -> str:
    if program := shutil.which(command, path=path):
        return program
    told = short(command, MAX_TOLD_CHARS)
    if shutil.which(command, mode=os.F_OK, path=path):
        raise NotStarted(f"the program {told} may not be executed")
    raise NotStarted(f"there is no program {told}")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(own)


async def stop(process: Process) -> int | None:
    """Its stdin is closed, as the specification has it (2025-11-25, Lifecycle); then it and all that it started is
    asked to end, and then made to. Returns with what it ended by itself, as `returncode` has it; None: it did not."""
    if process.stdin is not None:
        process.stdin.close()
    by_itself = process.returncode if await _ended(process, STDIN_CLOSED_S) else None
    if by_itself is None or _has_group(process.pid):
        _signal_group(process.pid, signal.SIGTERM)
        for _ in range(int(TERMINATED_S / EVERY_S)):
            if not _has_group(process.pid):
                break
            await asyncio.sleep(EVERY_S)
        _signal_group(process.pid, signal.SIGKILL)
        await _ended(process, TERMINATED_S)
    return by_itself


def ending(status: int | None) -> str:
    """Of a program that hung up, in words; `status` is what `stop` returned."""
    if status is None:
        return "the program closed its standard streams"
    if status >= 0:
        return f"the program ended with status {status}"
    try:
        return f"the program was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"the program was ended by signal {-status}"


def close_pipes(process: Process) -> None:
    """A grandchild that left the group may hold them open."""
    transport = getattr(process, "_transport", None)
    with suppress(PermissionError, AttributeError):
        transport.close()  # type: ignore[union-attr]  # nothing public closes it


def _tied(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command that gets SIGTERM when this process dies, whatever of; its stdin is closed then everywhere."""
    if sys.platform != "linux" or not sys.executable:
        return command
    return (sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command)


async def _ended(process: Process, within: float) -> bool:
    """Asks again and again: `wait` waits for pipes too, which grandchildren hold."""
    for _ in range(int(within / EVERY_S)):
        if process.returncode is not None:
            return True
        await asyncio.sleep(EVERY_S)
    return process.returncode is not None


def _has_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
