"""What a WebSocket's client may send beside messages, which are counted by who takes them."""

from collections.abc import Callable

WINDOW_S = 10.0
MAX_FRAMES = 1000
"""Pings, pongs and further fragments in one window: each costs some 10 µs, whatever is in it."""
MAX_FRAGMENTS = 1024
"""Of one message. They may be empty, so its size does not bound them."""
MAX_UNREAD_PONGS = 100


class Intake:
    """Counts the frames of one connection in windows of 10 s, which begin with their first frame."""

    __slots__ = ("_began_at", "_clock", "_count", "_fragments", "_unread")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = 0.0
        self._count = 0
        self._fragments = 0
        self._unread = 0

    def frame(self) -> bool:
        """One more control frame or fragment; False where that is too many."""
        now = self._clock()
        if not self._count or now - self._began_at >= WINDOW_S:
            self._began_at, self._count = now, 0
        self._count += 1
        return self._count <= MAX_FRAMES

    def fragment(self, *, last: bool) -> bool:
        """One more part of a message."""
        self._fragments = 0 if last else self._fragments + 1
        return self.frame() and self._fragments <= MAX_FRAGMENTS

    def unread_pong(self) -> bool:
        """One more that could not be sent, because the client does not read; False where that is too many."""
        self._unread += 1
        return self._unread <= MAX_UNREAD_PONGS

    def reads(self) -> None:
        """The client reads again."""
        self._unread = 0
