"""Following a run: what its log says, and what its row says where the log has nothing."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from weakref import WeakValueDictionary

from chatorch.domain.model.content import PartDelta
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import NotFound, StoreUnavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    SILENCE,
    STORE_AWAY,
    TERMINAL_EVENTS,
    CancelReason,
    Run,
    RunCancelled,
    RunEvent,
    Silence,
)
from chatorch.domain.model.transcript import replay
from chatorch.domain.services.execution.executor import Executor
from chatorch.ports.run_log import RunLog
from chatorch.ports.runs import RunStore
from chatorch.ports.system import Clock

POLL_S = 1.0


class Subscription:
    def __init__(self, *, store: RunStore, log: RunLog, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._executor = executor
        self._clock = clock
        # Of one that has ended, all followers tell the same text: it may be long.
        self._ended: WeakValueDictionary[RunId, Run] = WeakValueDictionary()

    def events(self, run: Run, after: int = 0) -> AsyncGenerator[RunEvent | Silence]:
        """See `Runs.events`."""
        if run.status.live:
            return self._live_events(run.id, run.owner_id, after)
        shared = self._ended.setdefault(run.id, run)
        if shared.seq != run.seq:
            shared = self._ended[run.id] = run
        return _stored_events(shared, after)

    async def _live_events(self, run_id: RunId, owner_id: UserId, position: int) -> AsyncGenerator[RunEvent | Silence]:
        while True:
            # Each time anew: this process may have taken the run over meanwhile.
            with self._executor.watching(run_id):
                async with aclosing(self._log.follow(run_id, position)) as live:
                    async for event in live:
                        if type(event) is PartDelta:  # first, because it is nearly always one
                            yield event
                            position = event.seq
                            continue
                        if isinstance(event, Silence):
                            if await self._ended_elsewhere(owner_id, run_id):
                                break
                            yield event
                            continue
                        yield event
                        position = event.seq
                        if isinstance(event, TERMINAL_EVENTS):
                            return
                # What the row says is all there is for now; then the log is asked again, which may have come back.
                told, over = await self._told_by_row(owner_id, run_id, position)
                for stored in told:
                    yield stored
                    position = stored.seq
                if over:
                    return
                yield SILENCE if over is False else STORE_AWAY
                await self._clock.sleep(POLL_S)

    async def _told_by_row(
        self, owner_id: UserId, run_id: RunId, position: int
    ) -> tuple[Iterable[RunEvent], bool | None]:
        """What it says beyond a position, and whether that is all there will ever be; None: the store is away."""
        try:
            row = await self._store.read_run(owner_id, run_id)
        except NotFound:
            return [RunCancelled(position + 1 + EPOCH_SPAN, CancelReason.USER)], True
        except StoreUnavailable:
            return [], None
        return replay(row, position), not row.status.live

    async def _ended_elsewhere(self, owner_id: UserId, run_id: RunId) -> bool:
        if self._executor.executes(run_id):
            return False  # if somebody else ended it, the checkpoints hear of that
        try:
            return not (await self._store.read_run(owner_id, run_id)).status.live
        except NotFound:
            return True
        except StoreUnavailable:
            return False


async def _stored_events(run: Run, position: int) -> AsyncGenerator[RunEvent | Silence]:
    for event in replay(run, position):
        yield event
