"""Workers that die, sleep and wake between any two steps that somebody else could see."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypeVar

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import LastContent
from chatorch.domain.services import TakeoverLimits
from chatorch.ports.chat_model import ChatModel
from chatorch.ports.execution_store import Checkpoint, ClaimedRun, ExecutionStore, LiveRun, Ownership, RunEnd
from chatorch.ports.tools import Tools
from tests.support.app import Chat
from tests.support.fakes import FakeClock

MOST_YIELDS = 4
SLOW = 0.2
T = TypeVar("T")


class Life:
    """Of one process. What it does goes through `step`, where it stands still for as long as it is asleep, or dead."""

    def __init__(self, chance: random.Random, clock: FakeClock) -> None:
        self.chance = chance
        self._clock = clock
        self._awake = asyncio.Event()
        self._awake.set()
        self.dead = self.over = False
        self.steps_left: int | None = None
        """After how many steps it dies."""

    @property
    def awake(self) -> bool:
        return self._awake.is_set()

    def end(self) -> None:
        """Whatever still waits may go: nothing reaches the store any more."""
        self.over = True
        self._awake.set()

    def die(self) -> None:
        self.dead = True
        self._awake.clear()

    def sleep(self) -> None:
        self._awake.clear()

    def wake(self) -> None:
        if not self.dead:
            self._awake.set()

    async def step(self) -> None:
        for _ in range(self.chance.randrange(MOST_YIELDS)):
            await asyncio.sleep(0)
        if self.chance.random() < SLOW and not self.over:
            await self._clock.sleep(self.chance.random())
        if self.steps_left is not None and not self.over:
            self.steps_left -= 1
            if self.steps_left <= 0:
                self.die()
        await self._awake.wait()


class MortalStore(ExecutionStore):
    """One process's way to the store, on which what is asked, or its answer, may be lost."""

    def __init__(self, life: Life, store: ExecutionStore, saved: Callable[[], None]) -> None:
        self._life = life
        self._store = store
        self._saved = saved
        self.outages = 0.0

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        await self._on_the_way()
        answer = await ask()
        self._saved()
        await self._on_the_way()
        return answer

    async def _on_the_way(self) -> None:
        await self._life.step()
        if self._life.over or self._life.chance.random() < self.outages:
            raise StoreUnavailable

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        return await self._asked(lambda: self._store.checkpoint(checkpoints, now))

    async def finish(self, end: RunEnd) -> bool:
        return await self._asked(lambda: self._store.finish(end))

    async def live_runs(self) -> Sequence[LiveRun]:
        return await self._asked(self._store.live_runs)

    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:
        return await self._asked(lambda: self._store.witness(quiet))

    async def claim(
        self,
        runs: Sequence[LiveRun],
        now: datetime,
        contents: Mapping[RunId, LastContent] = MappingProxyType({}),
        *,
        history_chars: int,
    ) -> Sequence[ClaimedRun]:
        return await self._asked(lambda: self._store.claim(runs, now, contents, history_chars=history_chars))

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, LastContent] = MappingProxyType({})
    ) -> Sequence[RunId]:
        return await self._asked(lambda: self._store.interrupt(runs, now, contents))


class MortalWorker:
    """A process over a store that others share, with all that goes on in it by itself."""

    def __init__(
        self,
        life: Life,
        model: ChatModel,
        tools: Tools,
        store: MemoryStore,
        clock: FakeClock,
        saved: Callable[[], None],
        **more: Any,
    ) -> None:
        self.life = life
        self.store = MortalStore(life, store.execution_store, saved)
        shared: Any = SimpleNamespace(
            execution_store=self.store, runs=store.runs, threads=store.threads, calls=store.calls, users=store.users
        )
        asked: Any = model
        limits = TakeoverLimits(within_s=300, at_once=20)
        self.chat = Chat(asked, store=shared, clock=clock, takeover_limits=limits, tools=[tools], **more)
        chat = self.chat
        for keeps in (chat.executor.keep_saved, chat.lease_reaper.keep_watch, chat.takeovers.keep_taking):
            chat.spawner.spawn(keeps(), keeps.__name__)
