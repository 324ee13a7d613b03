"""Finding what a dead worker left: it is carried on (`Takeovers`), or ended.

A worker shows that it lives by moving the heartbeat of its runs, a counter. A run is abandoned when its heartbeat
was seen to stand still for the whole lease. Only time counts that lies between two looks of which each committed a
write of its own, and in which this process itself was awake. So neither an outage of the store nor a stalled reaper
kills a healthy run, and a store that takes reads and no writes, which are what heartbeats are, stops the clock. What
this process carries out itself is never abandoned. But a run may be left by a process that lives: one that was stored,
and the answer lost on the way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.services.execution.takeovers import Takeovers
from chatorch.ports.execution_store import ExecutionStore, LiveRun
from chatorch.ports.run_control import RunControl
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

SWEEPS_A_LEASE = 5
END_ALL_TRIES = 25
END_ALL_EVERY_S = 0.2
OURS_FAIL = "The heartbeats of this process do not get through either."
GONE = "the process that executed them is gone"
GAVE_NO_SIGN = "the process that executed them gave no sign of life for a whole lease"


@dataclass(slots=True)
class _Sighting:
    run: LiveRun
    still_for: float = 0.0


class LeaseReaper:
    """Offers abandoned runs to `takeovers`, and ends what may not be carried on as `interrupted`, with the freshest
    content that is to be had. `lease_s` is in seconds.

    `executed_here` tells which runs this process carries out, and `heartbeats_fail` whether their own heartbeats do not
    get through: then a small write of its own proves nothing (a full disk may have room for just that one).
    `confirm_lock` is awaited before anything is ended, and raises `StoreUnavailable` where this process has lost its
    lock on the store.
    """

    def __init__(
        self,
        *,
        execution_store: ExecutionStore,
        run_control: RunControl,
        clock: Clock,
        telemetry: RunTelemetry,
        lease_s: float,
        takeovers: Takeovers | None = None,
        executed_here: Callable[[RunId], bool] = lambda _: False,
        heartbeats_fail: Callable[[], bool] = lambda: False,
        confirm_lock: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._execution_store = execution_store
        self._run_control = run_control
        self._clock = clock
        self._telemetry = telemetry
        self._lease_s = lease_s
        self._takeovers = takeovers
        self._executed_here = executed_here
        self._heartbeats_fail = heartbeats_fail
        self._confirm_lock = confirm_lock
        self._interval_s = lease_s / SWEEPS_A_LEASE
        self._seen: dict[RunId, _Sighting] = {}
        self._looked_at: float | None = None

    async def end_all(self) -> int:
        """For a process that is alone on its store, before it starts anything: every live run is a dead one's.

        What may be carried on is offered. Returns how many it ended. Where others hold rows or the store for more than
        5 s, it leaves the rest to the sweeps, and raises `StoreUnavailable` where it could not even ask.
        """
        ended = 0
        for tries_left in reversed(range(END_ALL_TRIES)):
            await self._still_ours()
            try:
                live = self._to_end(await self._execution_store.live_runs())
                gone = await self._execution_store.interrupt(live, self._clock.now())
                ended += len(gone)
                if len(gone) == len(live):
                    break
            except StoreUnavailable:
                if not tries_left:
                    raise
            await self._clock.sleep(END_ALL_EVERY_S)
        if ended:
            self._telemetry.interrupted(ended, GONE)
        return ended

    async def keep_watch(self) -> None:
        """For ever: sweeps several times a lease."""
        while True:
            await self._clock.sleep(self._interval_s)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                self._telemetry.store_unavailable("the search for abandoned runs", error)
            except Exception as error:
                self._telemetry.failed("the search for abandoned runs", error)

    async def sweep(self) -> int:
        """Looks at all live runs of others once, and offers or ends those whose lease is over. Returns how many ended.

        Raises `StoreUnavailable`; then every lease is counted from its beginning again.
        """
        try:
            return await self._sweep()
        except Exception:
            self._forget()
            raise

    async def _sweep(self) -> int:
        expired = await self._look()
        if not expired or not (expired := self._to_end(expired)):
            return 0
        contents = await self._run_control.last_content([run.run_id for run in expired])
        # That may have taken its time, so again: are they as still as before, and does the store take writes?
        still = set(await self._look())
        expired = [run for run in expired if run in still]
        await self._still_ours()
        ended = set(await self._execution_store.interrupt(expired, self._clock.now(), contents)) if expired else set()
        if ended:
            self._telemetry.interrupted(len(ended), GAVE_NO_SIGN)
        for run in expired:
            if run.run_id in ended:
                self._run_control.fence(run.run_id, run.epoch + 1)
        return len(ended)

    def _to_end(self, abandoned: Sequence[LiveRun]) -> Sequence[LiveRun]:
        """Those of them that nobody may carry on; the others are offered."""
        if self._takeovers is None:
            return abandoned
        young = [run for run in abandoned if self._takeovers.may_take(run)]
        if young:
            self._takeovers.offer(young)
        return [run for run in abandoned if run not in young]

    async def _look(self) -> Sequence[LiveRun]:
        """Those whose lease is over. Writes to the store only where there is somebody to watch."""
        if not self._seen and not self._others(await self._execution_store.live_runs()):
            self._forget()
            return []
        if self._heartbeats_fail():
            raise StoreUnavailable(OURS_FAIL)
        asked_at = self._clock.monotonic()
        live = self._others(await self._execution_store.witness(self._quiet()))
        awake_for = self._time_since_last_look(asked_at)
        self._seen = {run.run_id: self._sighting(run, awake_for) for run in live}
        return [sighting.run for sighting in self._seen.values() if sighting.still_for >= self._lease_s]

    def _others(self, live: Sequence[LiveRun]) -> Sequence[LiveRun]:
        return [run for run in live if not self._executed_here(run.run_id)]

    def _quiet(self) -> Sequence[RunId]:
        return [run_id for run_id, sighting in self._seen.items() if sighting.still_for >= self._lease_s / 2]

    async def _still_ours(self) -> None:
        if self._confirm_lock is not None:
            await self._confirm_lock()

    def _sighting(self, run: LiveRun, awake_for: float) -> _Sighting:
        before = self._seen.get(run.run_id)
        if before is None or before.run != run:
            return _Sighting(run)
        return _Sighting(run, before.still_for + awake_for)

    def _time_since_last_look(self, asked_at: float) -> float:
        """In seconds, from the end of that one to the beginning of this: one that hung took none of the lease.

        At most twice the interval: a longer gap means that this process was asleep, not the other.
        """
        passed = 0.0 if self._looked_at is None else asked_at - self._looked_at
        self._looked_at = self._clock.monotonic()
        return min(passed, 2 * self._interval_s)

    def _forget(self) -> None:
        self._seen.clear()
        self._looked_at = None
