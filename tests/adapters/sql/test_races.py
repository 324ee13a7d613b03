"""Real concurrency over real connections: the rules hold however requests interleave."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import Connection, update
from sqlalchemy.exc import IntegrityError

from chatorch.adapters.sql import Database
from chatorch.adapters.sql.tables import runs
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.conversation import RunId, Thread, ThreadId
from chatorch.domain.model.errors import NotFound, StoreUnavailable, ThreadBusy, TooManyRuns
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint, Ownership
from chatorch.ports.runs import IdempotencyKey, OpenedRun
from chatorch.ports.threads import ThreadChange
from tests.support.stores import ANN, BOB, NOW, Stores, at, ending, new_run, sql_stores, turn

MANY = 50
THREAD = ThreadId("thr_t")


@pytest.fixture
def stores(database: Database) -> Stores:
    return sql_stores(database)


async def outcomes(*awaitables: object) -> Counter[type]:
    return Counter(type(outcome) for outcome in await asyncio.gather(*awaitables, return_exceptions=True))


async def test_of_many_turns_on_one_thread_one_wins(stores: Stores) -> None:
    await stores.runs.open_run(new_run("first"), turn("first", "t", opens=True))
    await stores.execution_store.finish(ending("first"))

    found = await outcomes(*(stores.runs.open_run(new_run(f"r{i}"), turn(f"m{i}", "t")) for i in range(MANY)))

    assert found == {OpenedRun: 1, ThreadBusy: MANY - 1}
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest(100))
    assert len(page.items) == 4
    assert len(await stores.execution_store.live_runs()) == 1


async def test_of_many_retries_one_wins(stores: Stores) -> None:
    await stores.runs.open_run(new_run("first"), turn("first", "t", opens=True))
    await stores.execution_store.finish(ending("first"))

    found = await outcomes(*(stores.runs.reopen_run(new_run(f"r{i}"), RunId("run_first")) for i in range(MANY)))

    assert found == {OpenedRun: 1, ThreadBusy: MANY - 1}


async def test_the_cap_holds_among_many_threads(stores: Stores) -> None:
    found = await outcomes(
        *(stores.runs.open_run(new_run(f"r{i}"), turn(f"m{i}", str(i), opens=True), LiveRunCap(8)) for i in range(MANY))
    )

    assert found == {OpenedRun: 8, TooManyRuns: MANY - 8}
    assert len(await stores.execution_store.live_runs()) == 8


async def test_of_many_requests_with_one_key_one_opens_and_the_rest_join_it(stores: Stores) -> None:
    key = IdempotencyKey("key", "digest")

    opened = await asyncio.gather(
        *(stores.runs.open_run(new_run(f"r{i}", key=key), turn(f"m{i}", str(i), opens=True)) for i in range(MANY))
    )

    assert Counter(run.joined for run in opened) == {False: 1, True: MANY - 1}
    assert len({run.run.id for run in opened}) == 1
    assert len((await stores.threads.list_threads(ANN, PageRequest(100))).items) == 1


async def test_everything_at_once_on_many_threads_neither_waits_for_ever_nor_loses_an_end(stores: Stores) -> None:
    """Ends, checkpoints, take-overs, renamings and deletions cross; each run ends once and is recorded once."""
    names = [f"n{i}" for i in range(20)]
    for name in names:
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
    seen = await stores.execution_store.live_runs()
    threads = [ThreadId(f"thr_{name}") for name in names]

    async def delete(thread: ThreadId) -> None:
        await stores.threads.delete_thread(ANN, thread, at(1))

    async with asyncio.timeout(20):
        found = await outcomes(
            stores.execution_store.checkpoint([Checkpoint(run.run_id, 1, None) for run in reversed(seen)]),
            stores.execution_store.interrupt(list(reversed(seen)), at(2)),
            *(delete(thread) for thread in threads[::2]),
            *(stores.execution_store.finish(ending(name)) for name in names),
            *(stores.threads.update_thread(ANN, thread, ThreadChange(title="new"), at(3)) for thread in threads),
            stores.execution_store.interrupt(seen, at(2)),
            stores.execution_store.checkpoint([Checkpoint(run.run_id, 1, "text") for run in seen]),
        )

    assert set(found) <= {dict, list, bool, type(None), NotFound, Thread}
    recorded = await stores.interactions()
    assert sorted(interaction.run_id for interaction in recorded) == sorted(f"run_{name}" for name in names)
    assert await stores.execution_store.live_runs() == []


async def test_one_end_among_many_ends_and_take_overs(stores: Stores) -> None:
    for round_ in range(10):
        name = f"r{round_}"
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
        seen = await stores.execution_store.live_runs()

        results = await asyncio.gather(
            *(stores.execution_store.interrupt(seen, at(5)) for _ in range(3)),
            stores.execution_store.finish(ending(name)),
            *(stores.execution_store.interrupt(seen, at(5)) for _ in range(3)),
        )

        assert sum(bool(result) for result in results) == 1
    assert len(await stores.interactions()) == 10


async def test_the_index_is_the_last_guard_and_names_the_run_that_was_first(database: Database, stores: Stores) -> None:
    """A live run that the checks cannot see, because its row says it is somebody else's."""
    await stores.runs.open_run(new_run("first"), turn("first", "t", opens=True))
    await stores.execution_store.finish(ending("first"))
    await stores.runs.reopen_run(new_run("second"), RunId("run_first"))

    def give_away(connection: Connection) -> None:
        connection.execute(update(runs).where(runs.c.id == "run_second").values(owner_id=BOB))

    await database.write(give_away)
    for attempt in (
        stores.runs.open_run(new_run("third"), turn("third", "t")),
        stores.runs.reopen_run(new_run("third"), RunId("run_first")),
    ):
        with pytest.raises(ThreadBusy) as busy:
            await attempt
        assert busy.value.run_id == "run_second"
    page = await stores.threads.list_messages(ANN, THREAD, PageRequest())
    assert len(page.items) == 2


async def test_a_thread_never_moves_back_in_time(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r", now=at(100)), turn("m", "t", opens=True))

    await stores.execution_store.finish(ending("r"))
    await stores.threads.update_thread(ANN, THREAD, ThreadChange(title="x"), NOW)

    assert (await stores.threads.read_thread(ANN, THREAD)).updated_at == at(100)


async def test_a_broken_rule_is_no_outage_and_shows_no_text(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    with pytest.raises(IntegrityError) as broken:
        await stores.runs.open_run(new_run("other"), turn("m", "u", "a secret of the user's", opens=True))

    assert "a secret" not in str(broken.value)
    assert not isinstance(broken.value, StoreUnavailable)
    assert (await stores.runs.read_run(ANN, RunId("run_r"))).status is RunStatus.QUEUED
    ownerships = await stores.execution_store.checkpoint([Checkpoint(RunId("run_r"), 1, None)])
    assert ownerships == {RunId("run_r"): Ownership.MINE}


async def test_a_long_history_is_read_only_as_far_as_it_fits(stores: Stores) -> None:
    said = ["x" * 100] * 500
    await stores.runs.open_run(new_run("r0"), turn("m0", "t", *said, opens=True))
    await stores.execution_store.finish(ending("r0", "y" * 100))

    opened = await stores.runs.open_run(new_run("r1", history_chars=1000), turn("m1", "t", "z" * 100))

    assert [message.content[0] for message in opened.history] == [*"xxxxxxxx", "y", "z"]
