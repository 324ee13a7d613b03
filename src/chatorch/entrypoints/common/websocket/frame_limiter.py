"""How much a client may send."""

from collections.abc import Callable

WINDOW_S = 10.0
MAX_REFUSED = 20
"""In one window. Whoever goes on against so many answers is not listening."""


class FrameLimiter:
    """Lets `limit` frames through in a window of 10 s, which begins with its first frame."""

    __slots__ = ("_began_at", "_clock", "_count", "_limit")

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._began_at = 0.0
        self._count = 0

    def count(self) -> None:
        """One more frame."""
        now = self._clock()
        if not self._count or now - self._began_at >= WINDOW_S:
            self._began_at, self._count = now, 0
        self._count += 1

    @property
    def over(self) -> bool:
        """The latest frame is one too many, and must not be carried out."""
        return self._count > self._limit

    @property
    def hopeless(self) -> bool:
        return self._count > self._limit + MAX_REFUSED
