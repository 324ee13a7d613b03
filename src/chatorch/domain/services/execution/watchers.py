"""Who watches the runs of this process, and the grace of those that nobody watches."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import CancelReason
from chatorch.domain.services.execution.run_execution import RunExecution
from chatorch.ports.run_control import RunControl
from chatorch.ports.system import Clock

FIRST_WATCHER_S = 5.0
GRACE_CHECK_S = 0.2
WATCHED_AGAIN_S = 1.0


class Watchers:
    """Stops, as `detached`, which of the `live` runs nobody has watched for `grace_s`, here or in another process.

    A guest has no grace: nobody else could ever come back to the run. What goes on in the background needs nobody.
    `left` is called when somebody stops watching a
    run of another process.
    """

    def __init__(
        self,
        live: Mapping[RunId, RunExecution],
        *,
        run_control: RunControl,
        clock: Clock,
        grace_s: float,
        left: Callable[[], None],
    ) -> None:
        self._live = live
        self._run_control = run_control
        self._clock = clock
        self._grace_s = grace_s
        self._left = left
        self._unwatched: dict[RunId, float] = {}
        self.elsewhere = 0
        """How many watch runs of other processes."""

    def expect(self, execution: RunExecution) -> None:
        """Whoever asked for it is on the way."""
        if execution.run.background:
            return
        grace_s = max(self._grace_of(execution), FIRST_WATCHER_S)
        self._unwatched[execution.run.id] = self._clock.monotonic() + grace_s

    def forget(self, run_id: RunId) -> None:
        self._unwatched.pop(run_id, None)

    @contextmanager
    def watching(self, run_id: RunId) -> Iterator[None]:
        """Counts as somebody who watches. When the last one leaves, the grace begins."""
        execution = self._live.get(run_id)
        if execution is None:
            with self._watching_elsewhere():
                yield
            return
        execution.watchers += 1
        execution.was_watched = True
        self._unwatched.pop(run_id, None)
        try:
            yield
        finally:
            execution.watchers -= 1
            if not execution.watchers and run_id in self._live:
                self._leave(execution)

    @contextmanager
    def _watching_elsewhere(self) -> Iterator[None]:
        self.elsewhere += 1
        try:
            yield
        finally:
            self.elsewhere -= 1
            self._left()

    def _leave(self, execution: RunExecution) -> None:
        """A guest's run has lost the only one who could ever come back to it."""
        if execution.run.background:
            return
        if execution.principal.guest:
            execution.stop(CancelReason.DETACHED)
        else:
            self._unwatched[execution.run.id] = self._clock.monotonic() + self._grace_s

    def _grace_of(self, execution: RunExecution) -> float:
        return 0.0 if execution.principal.guest else self._grace_s

    async def keep_grace(self) -> None:
        """For ever: stops what nobody has watched for the grace, here or in another process."""
        while True:
            await self._clock.sleep(GRACE_CHECK_S)
            now = self._clock.monotonic()
            due = [run_id for run_id, deadline in self._unwatched.items() if deadline <= now]
            watched = await self._run_control.watched(due) if due else frozenset()
            for run_id in due:
                # Meanwhile somebody may have come to watch it here, and left again.
                if self._unwatched.get(run_id, math.inf) > now:
                    continue
                if run_id in watched:
                    self._unwatched[run_id] = now + max(self._grace_of(self._live[run_id]), WATCHED_AGAIN_S)
                else:
                    del self._unwatched[run_id]
                    self._detach(run_id)

    async def stop_unfollowed(self, run_id: RunId) -> None:
        """Stops a run that is executed here, as `detached`, unless somebody follows it, here or in another process."""
        if self._unfollowed(run_id) and not await self._run_control.watched([run_id]) and self._unfollowed(run_id):
            self._detach(run_id)

    def _unfollowed(self, run_id: RunId) -> bool:
        """One that has just begun is followed: whoever asked for it is on the way."""
        execution = self._live.get(run_id)
        if execution is None or execution.watchers or execution.run.background:
            return False
        return execution.was_watched or self._clock.monotonic() - execution.begun_at >= FIRST_WATCHER_S

    def _detach(self, run_id: RunId) -> None:
        if execution := self._live.get(run_id):
            execution.stop(CancelReason.DETACHED)
