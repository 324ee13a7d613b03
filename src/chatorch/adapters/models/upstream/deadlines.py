"""How long a provider may take."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from chatorch.adapters.models.upstream.errors import Late

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: until the first chunk of data, between two, and for the whole answer, connecting and retries included.

    Keep-alive comments are no data. Time that the consumer takes over a piece is not idle time.
    """

    first_piece: float = 60.0
    idle: float = 30.0
    total: float = 600.0


class Watch:
    """Guards the waits of one stream, so that none outlasts its deadline.

    One timer a stream, and it is set again only when it rings (`asyncio.timeout` would set one for each wait). It
    cancels the one task that consumes the stream, inside a guarded wait only, never while it is at work.

    `wait` guards one wait. What waits for every token does the same by hand, to save a coroutine a token::

        try:
            watch.begin()
            data = await read()
            watch.waiting = None
        except (CancelledError, …) as error:
            raise watch.cause_of(error)

    Set `progress` when data came: from the next wait on, the idle deadline counts.
    """

    __slots__ = (
        "_cancelling",
        "_deadlines",
        "_due",
        "_end",
        "_idle",
        "_idle_counts",
        "_rang",
        "_task",
        "_time",
        "_timer",
        "progress",
        "waiting",
    )

    def __init__(self, deadlines: Deadlines, begun_s: float = 0.0) -> None:
        """`begun_s`: so many seconds of the whole have gone already."""
        self._time = asyncio.get_running_loop().time
        now = self._time()
        self._deadlines = deadlines
        self._idle = deadlines.idle
        self._idle_counts = False
        self._end = now + deadlines.total - begun_s
        self._due = now + deadlines.first_piece
        self._timer: asyncio.TimerHandle | None = None
        self._cancelling = 0
        self._rang = False
        self.progress = False
        self.waiting: asyncio.Task[object] | None = None
        self._task: asyncio.Task[object] | None = None

    async def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives. Raises `TimeoutError` once the time is up."""
        try:
            self.begin()
            result = await work()
            self.waiting = None
        except BaseException as error:
            raise self.cause_of(error) from None
        return result

    def begin(self) -> None:
        """Raises `TimeoutError` where the time is up already."""
        if self.progress:
            self.progress = False
            self._idle_counts = True
            self._due = self._time() + self._idle
        if self._timer is None:
            self._set_timer()
        if self._task is None:
            # Once a stream, since one task consumes it: before Python 3.12 asking takes a system call, and a token
            # is 40 µs.
            self._task = asyncio.current_task()
        self.waiting = self._task

    def cause_of(self, error: BaseException) -> BaseException:
        """What ended a wait: a `TimeoutError` where it was our own cancelling, else the error itself."""
        task, self.waiting = self.waiting, None
        if not (self._rang and task is not None and isinstance(error, asyncio.CancelledError)):
            return error
        self._rang = False
        return self._late() if task.uncancel() <= self._cancelling else error

    def expect_whole(self) -> None:
        """The answer comes as one piece: until then, only the deadline for all of it counts."""
        self._due = self._end

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        """Never later than one idle time from now, since data may bring the deadline forward to that."""
        now, due = self._time(), min(self._due, self._end)
        if due <= now:
            raise self._late()
        self._timer = asyncio.get_running_loop().call_at(min(due, now + self._idle), self._ring)

    def _late(self) -> Late:
        if self._due >= self._end or self._time() >= self._end:
            return Late(f"not the whole answer within {self._deadlines.total:g} s (total)")
        if self._idle_counts:
            return Late(f"nothing more within {self._deadlines.idle:g} s (idle)")
        return Late(f"no first piece within {self._deadlines.first_piece:g} s (first piece)")

    def _ring(self) -> None:
        self._timer = None
        if self.waiting is None:
            return
        try:
            self._set_timer()
        except TimeoutError:
            self._rang = True
            self._cancelling = self.waiting.cancelling()
            self.waiting.cancel()
