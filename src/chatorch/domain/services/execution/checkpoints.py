"""What is saved of live runs while they go on, and what their rows say in return."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import CancelReason
from chatorch.domain.services.execution.run_execution import RunExecution
from chatorch.ports.execution_store import Checkpoint, ExecutionStore, Ownership
from chatorch.ports.system import Clock
from chatorch.ports.telemetry import RunTelemetry

AT_ONCE_CHARS = 2_000_000
"""In one transaction, which is to be over long before the lease is."""
FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 2.0


class Checkpoints:
    """Of the runs in `live`, which its owner adds to and takes from."""

    def __init__(
        self,
        live: Mapping[RunId, RunExecution],
        *,
        execution_store: ExecutionStore,
        clock: Clock,
        telemetry: RunTelemetry,
    ) -> None:
        self._live = live
        self._execution_store = execution_store
        self._clock = clock
        self._telemetry = telemetry
        self._saving = asyncio.Lock()
        self._wanted: set[RunId] = set()
        self.fail = False
        """Whether the last heartbeats of this process did not get through. False where it has none to send."""

    async def keep_saved(self, every_s: float) -> None:
        """For ever: a checkpoint of all live runs, one transaction a round; twice as often while heartbeats fail."""
        while True:
            await self._clock.sleep(every_s / 2 if self.fail else every_s)
            try:
                await self.save()
            except StoreUnavailable as error:
                self._telemetry.store_unavailable("a checkpoint", error)
            except Exception as error:  # the next round must come: heartbeats and cancels hang on it
                self._telemetry.failed("a checkpoint", error)

    async def save(self) -> None:
        """Saves what is new, shows that this process lives, and hears who was cancelled or lost.

        Raises `StoreUnavailable`; nothing is lost by that, the next round saves it.
        """
        async with self._saving:
            await self._save(self._live)

    async def save_now(self, run_id: RunId) -> None:
        """Saves what is new of one run, and returns when that is done: as long as the store is away, it waits.

        Several that ask meanwhile are saved together.
        """
        self._wanted.add(run_id)
        backoff = FIRST_BACKOFF_S
        try:
            while not await self._saved_with_others(run_id):
                await self._clock.sleep(backoff)
                backoff = min(backoff * 2, MAX_BACKOFF_S)
        finally:
            self._wanted.discard(run_id)

    async def _saved_with_others(self, run_id: RunId) -> bool:
        async with self._saving:
            if run_id in self._wanted:
                try:
                    await self._save(self._wanted & self._live.keys())
                except StoreUnavailable as error:
                    self._telemetry.store_unavailable("a checkpoint", error)
        return run_id not in self._wanted

    async def _save(self, run_ids: Iterable[RunId]) -> None:
        contents = {run_id: self._live[run_id].said() for run_id in run_ids}
        answered = self._wanted & contents.keys()  # who asks from now on may have said more than is saved here
        if not contents:
            self.fail = False
            return
        checkpoints = [self._live[run_id].checkpoint(content) for run_id, content in contents.items()]
        held: set[RunId] = set()
        for portion in _portions(checkpoints):
            try:
                ownerships = await self._execution_store.checkpoint(portion, self._clock.now())
            except Exception:
                # A disk without room for all this text, or one text that is no good: heartbeats are not lost with it.
                await self._beat(checkpoints)
                raise
            self.fail = False
            self._hear(ownerships)
            for saved in portion:
                if saved.news and ownerships[saved.run_id] is Ownership.MINE and saved.run_id in self._live:
                    self._live[saved.run_id].saved.note(saved)
            held |= {run_id for run_id, ownership in ownerships.items() if ownership is Ownership.HELD}
        self._wanted -= answered - held

    async def _beat(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Once more without text, where there was any."""
        self.fail = True
        if any(checkpoint.news for checkpoint in checkpoints):
            bare = [_bare(checkpoint) for checkpoint in checkpoints]
            ownerships = await self._execution_store.checkpoint(bare, self._clock.now())
            self.fail = False
            self._hear(ownerships)

    def _hear(self, ownerships: Mapping[RunId, Ownership]) -> None:
        for run_id, ownership in ownerships.items():
            execution = self._live.get(run_id)
            if execution is None:
                continue
            if ownership is Ownership.LOST:
                execution.lose()
            elif ownership is Ownership.CANCEL:
                execution.stop(CancelReason.USER)


def _portions(checkpoints: Sequence[Checkpoint]) -> Iterator[Sequence[Checkpoint]]:
    """Nearly always one. Heartbeats must not wait for much text, so each has all of them, and some of the text."""
    left = deque(checkpoint for checkpoint in checkpoints if checkpoint.news)
    while True:
        room = AT_ONCE_CHARS
        now: dict[RunId, Checkpoint] = {}
        while left and (not now or _chars(left[0]) <= room):
            some = left.popleft()
            room -= _chars(some)
            now[some.run_id] = some
        yield [now.get(each.run_id) or (_bare(each) if each.news else each) for each in checkpoints]
        if not left:
            return


def _bare(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, text=None, parts=(), kept=None, used=None)


def _chars(checkpoint: Checkpoint) -> int:
    return len(checkpoint.text or "") + sum(len(piece.body) for piece in checkpoint.parts)
