"""Forgetting idempotency keys that no longer count, a few at a time, so that they cost no request anything."""

from datetime import timedelta

from chatorch.domain.services.sweeping import keep_sweeping
from chatorch.ports.runs import KEY_LIFE, RunStore
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

EVERY_S = 60.0
PAUSE_S = 0.2
BATCH = 500
MARGIN = timedelta(hours=6)
"""How much longer than it counts a key is kept: a clock that is ahead, or jumps, must not end what counts elsewhere."""
WHAT = "forgetting idempotency keys"


class KeyExpiry:
    """Every process does it; where several do at once, each takes other keys."""

    def __init__(self, *, store: RunStore, clock: Clock, telemetry: RunTelemetry) -> None:
        self._store = store
        self._clock = clock
        self._telemetry = telemetry

    async def keep_forgetting(self) -> None:
        """For ever: once a minute, and on, with pauses, while there are more."""
        await keep_sweeping(self._sweep, every_s=EVERY_S, what=WHAT, clock=self._clock, telemetry=self._telemetry)

    async def _sweep(self) -> None:
        while await self._store.forget_keys(self._clock.now() - KEY_LIFE - MARGIN, BATCH) == BATCH:
            await self._clock.sleep(PAUSE_S)
