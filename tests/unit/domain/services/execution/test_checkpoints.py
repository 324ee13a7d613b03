"""What a process saves of its live runs, and what it does when it cannot."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import pytest

from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.adapters.memory.state import State
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from chatorch.domain.services.execution.checkpoints import AT_ONCE_CHARS
from chatorch.ports.execution_store import Checkpoint, Ownership
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel, settle
from tests.support.stores import new_run, turn


class FullExecutionStore(MemoryExecutionStore):
    """A disk that has room for a heartbeat, and none for text."""

    full: Exception | None = None

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        if self.full and any(checkpoint.text is not None for checkpoint in checkpoints):
            raise self.full
        return await super().checkpoint(checkpoints, now)


def over(kind: type[MemoryExecutionStore], *steps: str | Pause) -> tuple[Chat, MemoryExecutionStore]:
    store = MemoryStore()
    execution_store = store.execution_store = kind(store.execution_store._state)
    return Chat(ScriptedChatModel(*steps), store), execution_store


@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("a text that is no good")])
async def test_a_text_that_cannot_be_saved_takes_no_heartbeat_with_it(error: Exception):
    chat, execution_store = over(FullExecutionStore, "Hello", Pause())
    run = await chat.start()
    execution_store.full = error

    for beats in (1, 2):
        with pytest.raises(type(error)):
            await chat.executor.checkpoint()
        [seen] = await execution_store.live_runs()
        assert seen.heartbeat == beats

    execution_store.full = None
    await chat.executor.checkpoint()
    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == "Hello"


async def test_a_cancel_is_heard_even_while_no_text_can_be_saved():
    chat, execution_store = over(FullExecutionStore, "Hello", Pause())
    run = await chat.start()
    execution_store.full = StoreUnavailable()
    await chat.store.runs.request_cancel(ALICE.user_id, run.id)

    with pytest.raises(StoreUnavailable):
        await chat.executor.checkpoint()

    assert (await chat.ended(run)).status is RunStatus.CANCELLED


class FullDisk(MemoryExecutionStore):
    """One that has room for the write of who watches, and not for a heartbeat."""

    full = False

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        if self.full:
            raise StoreUnavailable
        return await super().checkpoint(checkpoints, now)


async def test_a_process_whose_own_heartbeats_do_not_get_through_takes_nobody_for_dead():
    chat, execution_store = over(FullDisk, "Hello", Pause())
    await chat.start()
    await chat.store.runs.open_run(new_run("elsewhere"), turn("m", "t", opens=True))
    assert await chat.lease_reaper.sweep() == 0

    execution_store.full = True
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            await chat.executor.checkpoint()
        with pytest.raises(StoreUnavailable, match="heartbeats"):
            await chat.lease_reaper.sweep()
        await chat.clock.advance(1)
    execution_store.full = False

    ended = 0
    for _ in range(7):
        await chat.executor.checkpoint()
        ended += await chat.lease_reaper.sweep()
        await chat.clock.advance(1)
    assert ended == 1


class HoldingExecutionStore(MemoryExecutionStore):
    """A store in which another transaction holds all rows."""

    held = True

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        if self.held:
            return {checkpoint.run_id: Ownership.HELD for checkpoint in checkpoints}
        return await super().checkpoint(checkpoints, now)


async def test_what_was_held_is_saved_by_the_next_one():
    chat, execution_store = over(HoldingExecutionStore, "Hello", Pause())
    run = await chat.start()

    await chat.executor.checkpoint()
    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == ""
    execution_store.held = False
    await chat.executor.checkpoint()

    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == "Hello"


# -- how much is written ---------------------------------------------------------------------------------------------


class CountingExecutionStore(MemoryExecutionStore):
    """Remembers what was handed in. `answers` False: what is written is written, and nobody hears of it."""

    answers = True

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.saved: list[tuple[int, int]] = []

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        ownerships = await super().checkpoint(checkpoints, now)
        self.saved += [(c.start, len(c.text)) for c in checkpoints if c.text is not None]
        if not self.answers:
            raise StoreUnavailable
        return ownerships


async def grown(pieces: list[str], unheard: Collection[int] = ()) -> tuple[list[tuple[int, int]], str]:
    """What was written of an answer that was saved after each piece, and the text that the store has in the end."""
    pauses = [Pause() for _ in pieces]
    chat, execution_store = over(
        CountingExecutionStore, *(step for pair in zip(pieces, pauses, strict=True) for step in pair)
    )
    run = await chat.start()
    for number, pause in enumerate(pauses):
        await pause.reached()
        execution_store.answers = number not in unheard
        with suppress(StoreUnavailable):
            await chat.executor.checkpoint()
        stored = (await chat.store.runs.read_run(ALICE.user_id, run.id)).text
        assert stored == "".join(pieces[: number + 1])
        pause.go_on()
    return execution_store.saved, (await chat.ended(run)).text


async def test_all_that_is_written_of_a_long_answer_is_a_few_times_its_length():
    pieces = ["word " * 200] * 300

    saved, text = await grown(pieces)

    assert text == "".join(pieces)
    assert sum(length for _, length in saved) < 4 * len(text)
    assert sum(1 for start, _ in saved if start == 0) < 12


class PortionedExecutionStore(MemoryExecutionStore):
    """Remembers of each transaction how many heartbeats there were, and how much text."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.portions: list[tuple[int, int]] = []

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        self.portions.append((len(checkpoints), sum(len(c.text or "") for c in checkpoints)))
        return await super().checkpoint(checkpoints, now)


async def test_much_text_is_saved_in_portions_each_with_all_heartbeats():
    answer = "x" * (AT_ONCE_CHARS // 5 * 2)
    chat, execution_store = over(PortionedExecutionStore, answer, pause := Pause())
    started = [await chat.start() for _ in range(5)]
    await pause.reached()
    await settle()

    await chat.executor.checkpoint()
    await chat.executor.checkpoint()

    two = (5, len(answer) * 2)
    assert execution_store.portions == [two, two, (5, len(answer)), (5, 0)]
    assert {run.heartbeat for run in await execution_store.live_runs()} == {4}
    for run in started:
        assert len((await chat.store.runs.read_run(ALICE.user_id, run.id)).text) == len(answer)


async def test_while_heartbeats_fail_they_are_tried_twice_as_often():
    chat, execution_store = over(FullDisk, "Hello", Pause())
    await chat.start()
    execution_store.full = True
    keeping = asyncio.ensure_future(chat.executor.keep_saved())
    await chat.clock.until_asleep()
    for _ in range(6):
        await chat.clock.advance(0.5)
    assert len(chat.telemetry.outages) == 5
    keeping.cancel()


async def test_a_short_answer_is_saved_as_it_always_was():
    saved, _ = await grown(["Hello", ", ", "world"])

    assert saved == [(0, 5), (0, 7), (0, 12)]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_answers_of_the_store_are_lost_the_text_is_right(seed: int):
    chance = random.Random(seed)
    pieces = ["word " * chance.randint(1, 300) for _ in range(40)]
    unheard = [number for number in range(40) if chance.random() < 0.5]

    _, text = await grown(pieces, unheard)

    assert text == "".join(pieces)
