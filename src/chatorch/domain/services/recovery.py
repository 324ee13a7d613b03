"""Ending what a dead worker left.

A worker shows that it lives by moving the heartbeat of its runs, a counter. A run is abandoned when its heartbeat
was seen to stand still for the whole lease. Only time in which the store answered and this process itself was awake
counts, so neither an outage of the store nor a stalled reaper kills a healthy run. What this process carries out itself
is never abandoned. But a run may be left by a process that lives: one that was stored, and the answer lost on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.run_relay import RunRelay
from chatorch.ports.runs import LiveRun, RunProgress
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

SWEEPS_A_LEASE = 5
GONE = "the process that executed them is gone"
GAVE_NO_SIGN = "the process that executed them gave no sign of life for a whole lease"


@dataclass(slots=True)
class _Sighting:
    run: LiveRun
    still_for: float = 0.0


class Recovery:
    """Ends abandoned runs as `interrupted`, with the freshest text that is to be had. `lease_s` is in seconds.

    `executed_here` tells which runs this process carries out.
    """

    def __init__(
        self,
        *,
        progress: RunProgress,
        relay: RunRelay,
        clock: Clock,
        telemetry: RunTelemetry,
        lease_s: float,
        executed_here: Callable[[RunId], bool] = lambda _: False,
    ) -> None:
        self._progress = progress
        self._relay = relay
        self._clock = clock
        self._telemetry = telemetry
        self._lease_s = lease_s
        self._executed_here = executed_here
        self._interval_s = lease_s / SWEEPS_A_LEASE
        self._seen: dict[RunId, _Sighting] = {}
        self._swept_at: float | None = None

    async def end_all(self) -> int:
        """For a process that is alone on its store, before it starts anything: every live run is a dead one's.

        Returns how many it ended. Raises `StoreUnavailable`.
        """
        ended = await self._progress.interrupt(await self._progress.live_runs(), self._clock.now())
        if ended:
            self._telemetry.interrupted(len(ended), GONE)
        return len(ended)

    async def keep_watch(self) -> None:
        """For ever: sweeps several times a lease."""
        while True:
            await self._clock.sleep(self._interval_s)
            try:
                await self.sweep()
            except StoreUnavailable:
                self._telemetry.store_unavailable("the search for abandoned runs")
            except Exception as error:
                self._telemetry.failed("the search for abandoned runs", error)

    async def sweep(self) -> int:
        """Looks at all live runs of others once, and ends those whose lease is over. Returns how many.

        Raises `StoreUnavailable`; then every lease is counted from its beginning again.
        """
        try:
            live = [run for run in await self._progress.live_runs() if not self._executed_here(run.run_id)]
        except StoreUnavailable:
            self._seen.clear()
            self._swept_at = None
            raise
        awake_for = self._time_since_last_sweep()
        self._seen = {run.run_id: self._sighting(run, awake_for) for run in live}
        expired = [sighting.run for sighting in self._seen.values() if sighting.still_for >= self._lease_s]
        if not expired:
            return 0
        texts = await self._relay.rescue([run.run_id for run in expired])
        ended = set(await self._progress.interrupt(expired, self._clock.now(), texts))
        if ended:
            self._telemetry.interrupted(len(ended), GAVE_NO_SIGN)
        for run in expired:
            if run.run_id in ended:
                self._relay.disown(run.run_id, run.epoch + 1)
        return len(ended)

    def _sighting(self, run: LiveRun, awake_for: float) -> _Sighting:
        before = self._seen.get(run.run_id)
        if before is None or before.run != run:
            return _Sighting(run)
        return _Sighting(run, before.still_for + awake_for)

    def _time_since_last_sweep(self) -> float:
        """In seconds; at most twice the interval: a longer gap means that this process was asleep, not the other."""
        now = self._clock.monotonic()
        passed = 0.0 if self._swept_at is None else now - self._swept_at
        self._swept_at = now
        return min(passed, 2 * self._interval_s)
