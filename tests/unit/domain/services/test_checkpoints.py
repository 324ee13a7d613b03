"""What a process saves of its live runs, and what it does when it cannot."""

from collections.abc import Mapping, Sequence

import pytest

from chatorch.adapters.memory.progress import MemoryRunProgress
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from chatorch.ports.runs import Checkpoint, Standing
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel


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
