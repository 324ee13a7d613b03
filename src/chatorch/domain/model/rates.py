"""How often is too often: rates, and buckets that hold whoever asks to them. Times are monotonic, in seconds."""

import heapq
from dataclasses import dataclass

MOST = 10_000
"""How many buckets are kept that are not full."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` at once; what was spent comes back evenly, all of it within `per_s` seconds."""

    limit: int
    per_s: float

    @property
    def each_s(self) -> float:
        """After how many seconds one comes back."""
        return self.per_s / self.limit

    def times(self, factor: int) -> "Rate":
        return Rate(self.limit * factor, self.per_s)


@dataclass(frozen=True, slots=True)
class Limit:
    """One that is reached, as a client is told of it: there is room again in `reset_s` seconds.

    `quota` is how many there may be at most, in each `window_s` seconds, or, without a window, at the same time.
    """

    name: str
    quota: int
    reset_s: float
    window_s: float | None = None


class Buckets:
    """What was spent, by whom. One number a bucket: when it is full again (GCRA, ITU-T I.371).

    At most `most` are kept. The first to go are those that would be full soonest: however many new names somebody
    brings, the one that was asked for most is not forgotten for them.
    """

    def __init__(self, rate: Rate, most: int = MOST) -> None:
        self.rate = rate
        self._most = most
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def spent(self, key: str, now: float) -> float:
        """How many are not back yet, at most the limit."""
        return max(self._full_at.get(key, now) - now, 0.0) / self.rate.each_s

    def room_in(self, key: str, now: float) -> float:
        """After how many seconds there is one more; 0 where there is now."""
        left = self._full_at.get(key, now) - now - self.rate.per_s + self.rate.each_s
        return left if left > 1e-6 else 0.0

    def spend(self, key: str, now: float) -> None:
        """Takes one, or what is there."""
        if key not in self._full_at and len(self._full_at) >= self._most:
            self._forget(now)
        full_at = max(self._full_at.get(key, now), now) + self.rate.each_s
        self._full_at[key] = min(full_at, now + self.rate.per_s)

    def fill(self, key: str) -> None:
        """Gives back all that was spent."""
        self._full_at.pop(key, None)

    def _forget(self, now: float) -> None:
        """An eighth at a time, so that finding them costs little each."""
        full = [key for key, full_at in self._full_at.items() if full_at <= now]
        many = max(self._most // 8, 1)
        for key in full if len(full) >= many else heapq.nsmallest(many, self._full_at, key=self._full_at.__getitem__):
            del self._full_at[key]
