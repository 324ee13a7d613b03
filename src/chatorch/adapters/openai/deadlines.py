"""How long a provider may take."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

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
    """Guards the waits of one stream: ``await watch.wait(read)`` raises `TimeoutError` once the deadline has passed.

    One timer a stream, and it is set again only when it rings (`asyncio.timeout` would set one for each wait). It
    cancels its task inside a guarded wait only, never while the consumer is at work, whichever task that is.

    Set `progress` when data came: from the next wait on, the idle deadline counts. (An attribute, and no method:
    this is done for every token.)
    """

    __slots__ = ("_cancelling", "_due", "_end", "_idle", "_rang", "_task", "_time", "_timer", "progress")

    def __init__(self, deadlines: Deadlines) -> None:
        self._time = asyncio.get_running_loop().time
        now = self._time()
        self._idle = deadlines.idle
        self._end = now + deadlines.total
        self._due = now + deadlines.first_piece
        self.progress = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._rang = False

    async def wait(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives. `read` is not called any more once the time is up."""
        if self.progress:
            self.progress = False
            self._due = self._time() + self._idle
        if self._timer is None:
            self._set_timer()
        self._task = asyncio.current_task()
        try:
            return await read()
        except asyncio.CancelledError:
            if self._was_ours():
                raise TimeoutError from None
            raise
        finally:
            self._task = None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        """Never later than one idle time from now, since data may bring the deadline forward to that."""
        now, due = self._time(), min(self._due, self._end)
        if due <= now:
            raise TimeoutError
        self._timer = asyncio.get_running_loop().call_at(min(due, now + self._idle), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        try:
            self._set_timer()
        except TimeoutError:
            self._rang = True
            self._cancelling = self._task.cancelling()
            self._task.cancel()

    def _was_ours(self) -> bool:
        if not self._rang or self._task is None:
            return False
        self._rang = False
        return self._task.uncancel() <= self._cancelling
