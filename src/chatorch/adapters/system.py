"""The real clock, real chance, and asyncio's tasks."""

import asyncio
import logging
import os
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from chatorch.ports.system import Clock, IdFactory, Spawner

# Crockford's alphabet is in ASCII order, so equally long numbers sort as strings as they do as numbers.
CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
PAIRS = [high + low for high in CROCKFORD for low in CROCKFORD]
TIME_CHARS, RANDOM_CHARS = 10, 16
RANDOM_BYTES = 10
ENTROPY_BYTES = 1000

_logger = logging.getLogger(__name__)


class SystemClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TimeOrderedIds(IdFactory):
    """A ULID in lower case: 48 bits of milliseconds since 1970, then 80 random bits, in Crockford's base 32.

    Ids of different milliseconds sort by time, as strings; those of the same one in any order. See
    https://github.com/ulid/spec.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._entropy = _Entropy()

    def new(self, prefix: str) -> str:
        milliseconds = int(self._clock.now().timestamp() * 1000)
        chance = int.from_bytes(self._entropy.take(RANDOM_BYTES))
        return f"{prefix}_{_crockford(milliseconds, TIME_CHARS)}{_crockford(chance, RANDOM_CHARS)}"


class _Entropy:
    """The operating system's randomness, fetched a thousand bytes at a time: a system call an id costs 15 µs.

    A forked process starts with none, so that two never give out the same.
    """

    def __init__(self) -> None:
        self._left = b""
        os.register_at_fork(after_in_child=self._drop)

    def take(self, count: int) -> bytes:
        if len(self._left) < count:
            self._left = os.urandom(ENTROPY_BYTES)
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _drop(self) -> None:
        self._left = b""


def _crockford(number: int, chars: int) -> str:
    return "".join([PAIRS[number >> shift & 1023] for shift in range(5 * (chars - 2), -1, -10)])


class TaskSpawner(Spawner):
    """Work as tasks of the running loop.

    A failure is logged once, as its type and the place that raised it, never with its message, which may repeat what
    a user wrote.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        # The loop itself holds tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def aclose(self, *, wait_s: float = 0.2, cancel_s: float = 0.5) -> None:
        """Waits `wait_s` seconds for what runs, then cancels what is left and gives it `cancel_s` to clean up."""
        await self._wait(wait_s)
        for task in self._tasks:
            task.cancel()
        await self._wait(cancel_s)

    async def _wait(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            said = {"task": task.get_name(), "error": type(error).__qualname__, "at": _location(error)}
            _logger.error("task_failed: %(task)s, %(error)s at %(at)s", said)


def _location(error: BaseException) -> str | None:
    """``module:line`` of the frame that raised; None where nothing was raised."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
