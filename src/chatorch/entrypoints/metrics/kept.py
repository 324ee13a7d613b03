"""One answer for all who ask within a moment: made once, however many they are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from chatorch.ports.system import Clock

T = TypeVar("T")


class Kept(Generic[T]):
    """What `make` makes, kept for `kept_s` seconds from when it was done. While it is made, everybody waits for that.

    Who made it and left leaves it to the next; what `make` raises is told to one caller, and kept for nobody.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], clock: Clock, kept_s: float) -> None:
        self._make = make
        self._clock = clock
        self._kept_s = kept_s
        self._made: tuple[float, T] | None = None
        self._making = asyncio.Lock()

    async def get(self) -> T:
        made = self._fresh()
        if made is None:
            async with self._making:
                made = self._fresh()
                if made is None:
                    value = await self._make()
                    made = self._made = (self._clock.monotonic(), value)
        return made[1]

    def _fresh(self) -> tuple[float, T] | None:
        if self._made is not None and self._clock.monotonic() - self._made[0] < self._kept_s:
            return self._made
        return None
