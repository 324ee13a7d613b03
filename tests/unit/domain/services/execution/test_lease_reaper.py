"""When a run counts as abandoned, and when it does not."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from chatorch.adapters.memory.execution_store import MemoryExecutionStore
from chatorch.adapters.memory.run_control import MemoryRunControl
from chatorch.adapters.memory.state import State
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import LastContent, RunStatus
from chatorch.domain.services.execution.lease_reaper import LeaseReaper
from chatorch.ports.execution_store import ExecutionStore, LiveRun
from chatorch.ports.run_control import RunControl
from tests.support.app import ALICE, Chat
from tests.support.fakes import Pause, ScriptedChatModel, settle
from tests.support.stores import new_run, turn


@pytest.fixture
async def worker() -> Chat:
    """With one live run, saved once."""
    chat = Chat(ScriptedChatModel("Hello", Pause()))
    await chat.start()
    await chat.executor.checkpoint()
    return chat


async def sweeps(reaper: Chat, seconds: float) -> int:
    ended = 0
    for _ in range(round(seconds)):
        ended += await reaper.lease_reaper.sweep()
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

    await worker.executor.checkpoint()
    await settle()

    assert reaper.telemetry.interruptions == [1]
    assert (len(worker.telemetry.lost_runs), worker.telemetry.endings) == (1, [])


async def test_a_heartbeat_that_moves_keeps_the_run(worker: Chat):
    reaper = reaper_of(worker)

    for _ in range(10):
        assert await sweeps(reaper, 2) == 0
        await worker.executor.checkpoint()


async def test_time_in_which_the_store_was_away_does_not_count(worker: Chat):
    reaper = reaper_of(worker)
    await sweeps(reaper, 4)

    worker.store.available = False
    with pytest.raises(StoreUnavailable):
        await reaper.lease_reaper.sweep()
    worker.store.available = True

    assert await sweeps(reaper, 5) == 0


async def test_time_in_which_the_reaper_itself_was_asleep_does_not_count(worker: Chat):
    reaper = reaper_of(worker)
    await reaper.lease_reaper.sweep()

    await reaper.clock.advance(3600)

    assert await reaper.lease_reaper.sweep() == 0


async def test_a_process_that_is_alone_ends_all_live_runs_at_once(worker: Chat):
    reaper = reaper_of(worker)

    assert await reaper.lease_reaper.end_all() == 1
    assert await reaper.lease_reaper.end_all() == 0
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


# -- a store that takes reads and no writes --------------------------------------------------------------------------


def lease_reaper_of(
    reaper: Chat, execution_store: ExecutionStore | None = None, run_control: RunControl | None = None
) -> LeaseReaper:
    return LeaseReaper(
        execution_store=execution_store or reaper.store.execution_store,
        run_control=run_control or reaper.run_control,
        clock=reaper.clock,
        telemetry=reaper.telemetry,
        lease_s=5.0,
    )


@pytest.mark.parametrize("seconds", [1, 9, 14, 600])
async def test_time_in_which_the_store_took_no_writes_does_not_count(worker: Chat, seconds: int):
    reaper = reaper_of(worker)
    await sweeps(reaper, 4)

    worker.store.read_only = True
    for _ in range(seconds):
        with pytest.raises(StoreUnavailable):
            await reaper.lease_reaper.sweep()
        with pytest.raises(StoreUnavailable):
            await worker.executor.checkpoint()
        await reaper.clock.advance(1)
    worker.store.read_only = False

    assert await sweeps(reaper, 5) == 0
    await worker.executor.checkpoint()
    assert await sweeps(reaper, 5) == 0
    assert worker.store.interactions() == []


async def test_who_died_while_the_store_took_no_writes_is_ended_within_ten_seconds_of_its_return(worker: Chat):
    reaper = reaper_of(worker)
    worker.store.read_only = True
    for _ in range(14):
        with suppress(StoreUnavailable):
            await reaper.lease_reaper.sweep()
        await reaper.clock.advance(1)
    worker.store.read_only = False

    assert await sweeps(reaper, 9) == 1


async def test_where_there_is_nobody_to_watch_the_store_is_not_written_to(worker: Chat):
    worker.store.read_only = True

    assert await sweeps(worker, 20) == 0


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_wall_clock_that_jumps_changes_nothing(worker: Chat, hours: int):
    reaper = reaper_of(worker)
    assert await sweeps(reaper, 3) == 0

    for chat in (reaper, worker):
        chat.clock.wall_offset += timedelta(hours=hours)

    assert await sweeps(reaper, 2) == 0
    await worker.executor.checkpoint()
    assert await sweeps(reaper, 5) == 0
    assert await sweeps(reaper, 2) == 1


class SlowExecutionStore(MemoryExecutionStore):
    """One that is looked at for as long as something else goes on."""

    def __init__(self, state: State, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(state)
        self._meanwhile = meanwhile

    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:
        await self._meanwhile()
        return await super().witness(quiet)


async def test_the_time_that_a_look_itself_took_does_not_count(worker: Chat):
    reaper = reaper_of(worker)
    lease_reaper = lease_reaper_of(
        reaper, SlowExecutionStore(worker.store.execution_store._state, lambda: reaper.clock.advance(9))
    )

    for _ in range(4):
        assert await lease_reaper.sweep() == 0
        await reaper.clock.advance(1)


class SlowRunControl(MemoryRunControl):
    """One that is asked for texts for as long as something else goes on."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def last_content(self, run_ids: Sequence[RunId]) -> Mapping[RunId, LastContent]:
        await self._meanwhile()
        return {}


async def test_before_it_ends_anything_it_looks_again(worker: Chat):
    reaper = reaper_of(worker)
    lease_reaper = lease_reaper_of(reaper, run_control=SlowRunControl(worker.executor.checkpoint))

    for _ in range(6):
        assert await lease_reaper.sweep() == 0
        await reaper.clock.advance(1)

    assert worker.store.interactions() == []


async def test_before_it_ends_anything_the_store_must_take_writes_again(worker: Chat):
    reaper = reaper_of(worker)

    async def fail() -> None:
        worker.store.read_only = True

    lease_reaper = lease_reaper_of(reaper, run_control=SlowRunControl(fail))
    for _ in range(5):
        await lease_reaper.sweep()
        await reaper.clock.advance(1)
    with pytest.raises(StoreUnavailable):
        await lease_reaper.sweep()
    worker.store.read_only = False

    for _ in range(5):
        assert await lease_reaper.sweep() == 0
        await reaper.clock.advance(1)


async def test_a_process_that_is_alone_and_finds_its_store_held_tries_for_a_while(worker: Chat):
    reaper = reaper_of(worker)
    worker.store.read_only = True
    ending = asyncio.ensure_future(reaper.lease_reaper.end_all())
    await reaper.clock.advance(4)
    worker.store.read_only = False
    await reaper.clock.advance(1)

    assert await ending == 1


async def test_a_process_that_is_alone_does_not_try_for_ever(worker: Chat):
    reaper = reaper_of(worker)
    worker.store.read_only = True
    ending = asyncio.ensure_future(reaper.lease_reaper.end_all())
    await reaper.clock.advance(6)

    with pytest.raises(StoreUnavailable):
        await ending


async def test_nothing_is_ended_by_a_process_that_has_lost_its_lock_on_the_store(worker: Chat):
    held = False

    async def confirm() -> None:
        if not held:
            raise StoreUnavailable

    chat = reaper_of(worker)
    reaper = LeaseReaper(
        execution_store=chat.store.execution_store,
        run_control=chat.run_control,
        clock=chat.clock,
        telemetry=chat.telemetry,
        lease_s=5,
        confirm_lock=confirm,
    )
    with pytest.raises(StoreUnavailable):
        await reaper.end_all()
    for _ in range(10):
        with suppress(StoreUnavailable):
            await reaper.sweep()
        await chat.clock.advance(1)
    assert [run.epoch for run in await worker.store.execution_store.live_runs()] == [1]

    held = True
    assert await reaper.end_all() == 1
