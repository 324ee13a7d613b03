"""How long a client is waited for."""

import asyncio
from collections.abc import Callable


class Patience:
    """One thing at a time that must come in time, else `late` is called. What has come takes `late` away.

    A timer that runs is used again, because nearly all of what is waited for comes: so that costs next to nothing.
    """

    __slots__ = ("_at", "_loop", "_timer", "late")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0
        self.late: Callable[[], None] | None = None

    def wait(self, seconds: float, late: Callable[[], None]) -> None:
        self.late = late
        self._at = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._look)
        elif self._timer.when() > self._at:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._look)

    def end(self) -> None:
        self.late = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        late = self.late
        if late is None:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._look)
        else:
            self.late = None
            late()
