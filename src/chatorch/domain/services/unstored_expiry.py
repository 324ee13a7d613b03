"""Threads that their clients do not want to be kept are gone after some days."""

from datetime import timedelta

from chatorch.domain.services.sweeping import keep_sweeping
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry
from chatorch.ports.unstored import UnstoredThreadStore

EVERY_S = 60.0
PAUSE_S = 0.1
BATCH = 100
"""Threads removed in one transaction: whoever writes meanwhile waits for that and no longer."""


class UnstoredExpiry:
    """Every process does it; where several do at once, each takes others."""

    def __init__(self, *, store: UnstoredThreadStore, clock: Clock, telemetry: RunTelemetry, days: float) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._kept = timedelta(days=days)

    async def keep_forgetting(self) -> None:
        """For ever: once a minute, and on, with pauses, while there are more."""
        what = "the removal of unstored threads"
        await keep_sweeping(self._sweep, every_s=EVERY_S, what=what, clock=self._clock, telemetry=self._telemetry)

    async def _sweep(self) -> None:
        while await self._store.forget(self._clock.now() - self._kept, BATCH) == BATCH:
            await self._clock.sleep(PAUSE_S)
