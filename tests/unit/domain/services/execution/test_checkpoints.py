"""What a process saves of its live runs, and what it does when it cannot."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import pytest

from chatorch.adapters.memory.execution_store import MemoryRunProgress
from chatorch.adapters.memory.state import State
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from chatorch.domain.services.execution.checkpoints import AT_ONCE_CHARS
from chatorch.ports.runs import Checkpoint, Standing
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel, settle
from tests.support.stores import new_run, turn


class FullProgress(MemoryRunProgress):
    """A disk that has room for a heartbeat, and none for text."""

    full: Exception | None = None

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        if self.full and any(checkpoint.text is not None for checkpoint in checkpoints):
            raise self.full
        return await super().checkpoint(checkpoints)


def over(kind: type[MemoryRunProgress], *steps: str | Pause) -> tuple[Chat, MemoryRunProgress]:
    store = MemoryStore()
    progress = store.progress = kind(store.progress._state)
    return Chat(ScriptedChatModel(*steps), store), progress


@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("a text that is no good")])
async def test_a_text_that_cannot_be_saved_takes_no_heartbeat_with_it(error: Exception):
    chat, progress = over(FullProgress, "Hello", Pause())
    run = await chat.start()
    progress.full = error

    for beats in (1, 2):
        with pytest.raises(type(error)):
            await chat.executions.checkpoint()
        [seen] = await progress.live_runs()
        assert seen.heartbeat == beats

    progress.full = None
    await chat.executions.checkpoint()
    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == "Hello"


async def test_a_cancel_is_heard_even_while_no_text_can_be_saved():
    chat, progress = over(FullProgress, "Hello", Pause())
    run = await chat.start()
    progress.full = StoreUnavailable()
    await chat.store.runs.request_cancel(ALICE.user_id, run.id)

    with pytest.raises(StoreUnavailable):
        await chat.executions.checkpoint()

    assert (await chat.ended(run)).status is RunStatus.CANCELLED


class FullDisk(MemoryRunProgress):
    """One that has room for the write of who watches, and not for a heartbeat."""

    full = False

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        if self.full:
            raise StoreUnavailable
        return await super().checkpoint(checkpoints)


async def test_a_process_whose_own_heartbeats_do_not_get_through_takes_nobody_for_dead():
    chat, progress = over(FullDisk, "Hello", Pause())
    await chat.start()
    await chat.store.runs.open_run(new_run("elsewhere"), turn("m", "t", opens=True))
    assert await chat.recovery.sweep() == 0

    progress.full = True
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            await chat.executions.checkpoint()
        with pytest.raises(StoreUnavailable, match="heartbeats"):
            await chat.recovery.sweep()
        await chat.clock.advance(1)
    progress.full = False

    ended = 0
    for _ in range(7):
        await chat.executions.checkpoint()
        ended += await chat.recovery.sweep()
        await chat.clock.advance(1)
    assert ended == 1


class HoldingProgress(MemoryRunProgress):
    """A store in which another transaction holds all rows."""

    held = True

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        if self.held:
            return {checkpoint.run_id: Standing.HELD for checkpoint in checkpoints}
        return await super().checkpoint(checkpoints)


async def test_what_was_held_is_saved_by_the_next_one():
    chat, progress = over(HoldingProgress, "Hello", Pause())
    run = await chat.start()

    await chat.executions.checkpoint()
    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == ""
    progress.held = False
    await chat.executions.checkpoint()

    assert (await chat.store.runs.read_run(ALICE.user_id, run.id)).text == "Hello"


# -- how much is written ---------------------------------------------------------------------------------------------


class CountingProgress(MemoryRunProgress):
    """Remembers what was handed in. `answers` False: what is written is written, and nobody hears of it."""

    answers = True

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.saved: list[tuple[int, int]] = []

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        standings = await super().checkpoint(checkpoints)
        self.saved += [(c.start, len(c.text)) for c in checkpoints if c.text is not None]
        if not self.answers:
            raise StoreUnavailable
        return standings


async def grown(pieces: list[str], unheard: Collection[int] = ()) -> tuple[list[tuple[int, int]], str]:
    """What was written of an answer that was saved after each piece, and the text that the store has in the end."""
    pauses = [Pause() for _ in pieces]
    chat, progress = over(CountingProgress, *(step for pair in zip(pieces, pauses, strict=True) for step in pair))
    run = await chat.start()
    for number, pause in enumerate(pauses):
        await pause.reached()
        progress.answers = number not in unheard
        with suppress(StoreUnavailable):
            await chat.executions.checkpoint()
        stored = (await chat.store.runs.read_run(ALICE.user_id, run.id)).text
        assert stored == "".join(pieces[: number + 1])
        pause.go_on()
    return progress.saved, (await chat.ended(run)).text


async def test_all_that_is_written_of_a_long_answer_is_a_few_times_its_length():
    pieces = ["word " * 200] * 300

    saved, text = await grown(pieces)

    assert text == "".join(pieces)
    assert sum(length for _, length in saved) < 4 * len(text)
    assert sum(1 for start, _ in saved if start == 0) < 12


class PortionedProgress(MemoryRunProgress):
    """Remembers of each transaction how many heartbeats there were, and how much text."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.portions: list[tuple[int, int]] = []

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        self.portions.append((len(checkpoints), sum(len(c.text or "") for c in checkpoints)))
        return await super().checkpoint(checkpoints)


async def test_much_text_is_saved_in_portions_each_with_all_heartbeats():
    answer = "x" * (AT_ONCE_CHARS // 5 * 2)
    chat, progress = over(PortionedProgress, answer, pause := Pause())
    started = [await chat.start() for _ in range(5)]
    await pause.reached()
    await settle()

    await chat.executions.checkpoint()
    await chat.executions.checkpoint()

    two = (5, len(answer) * 2)
    assert progress.portions == [two, two, (5, len(answer)), (5, 0)]
    assert {run.heartbeat for run in await progress.live_runs()} == {4}
    for run in started:
        assert len((await chat.store.runs.read_run(ALICE.user_id, run.id)).text) == len(answer)


async def test_while_heartbeats_fail_they_are_tried_twice_as_often():
    chat, progress = over(FullDisk, "Hello", Pause())
    await chat.start()
    progress.full = True
    keeping = asyncio.ensure_future(chat.executions.keep_saved())
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
