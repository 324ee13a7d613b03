"""Time, passwords and a model that do exactly what a test says. Each keeps to its port."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.ports.chat_model import ChatModel, Finish, Piece, Prompt
from chatorch.ports.passwords import PasswordHasher
from chatorch.ports.system import Clock

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOUND_S = 5.0
SETTLE_ROUNDS = 20


async def settle() -> None:
    """Lets tasks that wait for nothing but the event loop go on, some twenty steps each."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class FakeClock(Clock):
    """Time that stands until the test moves it. `now` and `monotonic` move together; `wall_offset` shifts `now`."""

    def __init__(self, start: datetime = START) -> None:
        self.wall_offset = timedelta()
        self._start = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self.wall_offset

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep on this clock."""
        return sum(1 for _, _, waking in self._sleepers if not waking.done())

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), waking))
        self._changed.set()
        await waking

    async def advance(self, seconds: float) -> None:
        """Moves time on, waking each sleeper at its own moment and letting it go on before the next one.

        What a woken task does beside the loop (threads, sockets, a database) is not waited for.
        """
        await settle()
        until = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, waking = heapq.heappop(self._sleepers)
            if waking.done():
                continue
            self._elapsed = moment
            waking.set_result(None)
            await settle()
        self._elapsed = until
        await settle()

    async def until_asleep(self, count: int = 1) -> None:
        """Waits (really, and bounded) until at least `count` tasks are asleep on this clock."""
        async with asyncio.timeout(BOUND_S):
            while self.sleepers < count:
                self._changed.clear()
                await self._changed.wait()


class PlainPasswords(PasswordHasher):
    """No hashing at all, for tests that sign in often. `verified` counts; `full` is what both methods raise instead."""

    def __init__(self) -> None:
        self.verified = 0
        self.full: Exception | None = None
        self._salts = itertools.count(1)

    async def hash(self, password: str) -> str:
        self._require_room()
        return f"$plain${next(self._salts)}${password}"

    async def verify(self, password_hash: str, password: str) -> bool:
        self._require_room()
        self.verified += 1
        match password_hash.split("$", 3):
            case ["", "plain", _, known]:
                return known == password
        return False

    def _require_room(self) -> None:
        if self.full is not None:
            raise self.full


class Pause:
    """A place in a script where the model says nothing until the test lets it go on."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def reached(self) -> None:
        """Waits, bounded, until the stream stands here."""
        async with asyncio.timeout(BOUND_S):
            await self._reached.wait()

    def go_on(self) -> None:
        self._opened.set()

    async def hold(self) -> None:
        self._reached.set()
        await self._opened.wait()


Step = Piece | Exception | Pause

PROVIDER_USAGE = Usage(7, 5, 12, UsageSource.PROVIDER)


class ModelCall:
    """One stream that was asked for: the prompt, whether it is closed, and whether it was played to its end."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.finished = False
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        self._closed.set()

    async def until_closed(self) -> None:
        """Waits, bounded, until the stream is closed, as it is when the upstream connection would be."""
        async with asyncio.timeout(BOUND_S):
            await self._closed.wait()


class ScriptedChatModel(ChatModel):
    """Plays scripts: text is yielded, so are parts, an exception raised, a `Pause` waited for, a `Finish` ends it.

    A script that says no end ends well, with `PROVIDER_USAGE`. Scripts given by `then` are for one call each, in
    their order; all other calls play the one of the constructor. `calls` records them all.
    """

    def __init__(self, *steps: Step) -> None:
        self.calls: list[ModelCall] = []
        self.closed = False
        self._usual: Sequence[Step] = steps or ("Hello", " world")
        self._next: list[Sequence[Step]] = []
        self._called = asyncio.Event()

    def then(self, *steps: Step) -> None:
        """Adds a script for one call."""
        self._next.append(steps)

    async def called(self, times: int = 1) -> ModelCall:
        """Waits, bounded, for the call of that number (1 is the first)."""
        async with asyncio.timeout(BOUND_S):
            while len(self.calls) < times:
                self._called.clear()
                await self._called.wait()
        return self.calls[times - 1]

    def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        call = ModelCall(prompt)
        self.calls.append(call)
        self._called.set()
        return self._play(call, self._next.pop(0) if self._next else self._usual)

    async def aclose(self) -> None:
        self.closed = True

    async def _play(self, call: ModelCall, steps: Iterable[Step]) -> AsyncGenerator[Piece]:
        try:
            for step in steps:
                match step:
                    case Pause():
                        await step.hold()
                    case Exception():
                        raise step
                    case Finish():
                        call.finished = True
                        yield step
                        return
                    case _:
                        yield step
            call.finished = True
            yield Finish("stop", PROVIDER_USAGE)
        finally:
            call.close()


class StubbornChatModel(ScriptedChatModel):
    """Does not let go when it is closed."""

    async def _play(self, call: ModelCall, steps: Iterable[Step]) -> AsyncGenerator[Piece]:
        try:
            async for piece in super()._play(call, steps):
                yield piece
        finally:
            await asyncio.Event().wait()
