"""What guests left is kept for so long, and no longer; and never more than so much of it."""

from datetime import timedelta

from chatorch.domain.services.sweeping import keep_sweeping
from chatorch.ports.guests import GuestThreadStore
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

BATCH = 100
"""Threads removed in one transaction: whoever writes meanwhile waits for that and no longer."""
PAUSE_S = 0.1
LONGEST_INTERVAL_S = 60.0
SHORTEST_INTERVAL_S = 1.0


class GuestRetention:
    """Removes guests' threads that are older than `hours`, and the oldest where there are more than `most`.

    Every process may do so beside the others. `most` is what bounds the store where guests come from many addresses.

    Also where guests are let in no more: what they left is there all the same.
    """

    def __init__(
        self, *, store: GuestThreadStore, clock: Clock, telemetry: RunTelemetry, hours: float, most: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._most = most
        self._kept = timedelta(hours=hours)
        self._interval_s = min(max(self._kept.total_seconds() / 4, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)

    async def keep_tidy(self) -> None:
        """For ever: sweeps each minute, or more often where little is kept."""
        what = "the removal of what guests left"
        every_s = self._interval_s
        await keep_sweeping(self.sweep, every_s=every_s, what=what, clock=self._clock, telemetry=self._telemetry)

    async def sweep(self) -> None:
        """Removes all that is due, a batch at a time. Raises `StoreUnavailable`."""
        while await self._store.forget(self._clock.now() - self._kept, BATCH) == BATCH:
            await self._clock.sleep(PAUSE_S)
        while await self._store.shed(self._most, BATCH) == BATCH:
            await self._clock.sleep(PAUSE_S)
