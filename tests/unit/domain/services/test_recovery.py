"""When a run counts as abandoned, and when it does not."""

import pytest

from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel, settle
from tests.support.stores import new_run, turn


@pytest.fixture
async def worker() -> Chat:
    """With one live run, saved once."""
    chat = Chat(ScriptedChatModel("Hello", Pause()))
    await chat.start()
    await chat.executions.checkpoint()
    return chat


async def sweeps(reaper: Chat, seconds: float) -> int:
    ended = 0
    for _ in range(round(seconds)):
        ended += await reaper.recovery.sweep()
        await reaper.clock.advance(1)
    return ended


def reaper_of(worker: Chat) -> Chat:
    return Chat(store=worker.store)


async def test_a_heartbeat_that_stands_still_for_the_lease_ends_the_run(worker: Chat):
    reaper = reaper_of(worker)

    assert await sweeps(reaper, 5) == 0
    assert await sweeps(reaper, 2) == 1
    [interaction] = worker.store.interactions()
    assert interaction.status is RunStatus.INTERRUPTED
    assert reaper.telemetry.interruptions == [1]


async def test_a_run_that_was_ended_for_a_process_that_lives_counts_as_interrupted_here_and_as_lost_there(worker: Chat):
    reaper = reaper_of(worker)
    assert await sweeps(reaper, 7) == 1

    await worker.executions.checkpoint()
    await settle()

    assert reaper.telemetry.interruptions == [1]
    assert (len(worker.telemetry.lost_runs), worker.telemetry.endings) == (1, [])


async def test_a_heartbeat_that_moves_keeps_the_run(worker: Chat):
    reaper = reaper_of(worker)

    for _ in range(10):
        assert await sweeps(reaper, 2) == 0
        await worker.executions.checkpoint()


async def test_time_in_which_the_store_was_away_does_not_count(worker: Chat):
    reaper = reaper_of(worker)
    await sweeps(reaper, 4)

    worker.store.available = False
    with pytest.raises(StoreUnavailable):
        await reaper.recovery.sweep()
    worker.store.available = True

    assert await sweeps(reaper, 5) == 0


async def test_time_in_which_the_reaper_itself_was_asleep_does_not_count(worker: Chat):
    reaper = reaper_of(worker)
    await reaper.recovery.sweep()

    await reaper.clock.advance(3600)

    assert await reaper.recovery.sweep() == 0


async def test_a_process_that_is_alone_ends_all_live_runs_at_once(worker: Chat):
    reaper = reaper_of(worker)

    assert await reaper.recovery.end_all() == 1
    assert await reaper.recovery.end_all() == 0
    assert reaper.telemetry.interruptions == [1]
    run_id = worker.store.interactions()[0].run_id
    run = await reaper.runs.read(ALICE, run_id)
    assert (run.status, run.text) == (RunStatus.INTERRUPTED, "Hello")


async def test_what_a_process_carries_out_itself_is_never_abandoned_even_if_no_checkpoint_gets_through(worker: Chat):
    assert await sweeps(worker, 60) == 0


async def test_a_run_that_was_stored_but_never_begun_is_ended_by_the_process_that_lost_it(worker: Chat):
    await worker.store.runs.open_run(new_run("lost", owner=ALICE.user_id), turn("lost", "lost", opens=True))

    assert await sweeps(worker, 7) == 1
    [interaction] = worker.store.interactions()
    assert (interaction.run_id, interaction.status) == ("run_lost", RunStatus.INTERRUPTED)
