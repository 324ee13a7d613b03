"""Runs that PostgreSQL opens and ends in one statement, beside transactions that stand in the way."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from chatorch.adapters.sql.connecting import PostgresAddress
from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.adapters.sql.urls import parse_url
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.errors import NotFound, StoreUnavailable, ThreadBusy, TooManyRuns
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint
from chatorch.ports.runs import IdempotencyKey
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.stores import ANN, BOB, Stores, at, ending, new_run, sql_stores, turn

LOCK = f"SELECT pg_advisory_xact_lock({0x63686174}, hashtext($1))"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _database(url: str, **measures: float) -> PostgresDatabase:
    address = parse_url(url)
    assert isinstance(address, PostgresAddress)
    return PostgresDatabase(address, pool_size=1, **measures)


@pytest.fixture
async def url(postgres: Databases) -> str:
    return await postgres.fresh()


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = _database(url)
    yield database
    await database.close()


@pytest.fixture
def stores(database: PostgresDatabase) -> Stores:
    return sql_stores(database)


@pytest.fixture
async def terminal(url: str) -> AsyncIterator[asyncpg.Connection]:
    terminal = await asyncpg.connect(url)
    yield terminal
    await terminal.close()


async def _somebody_waits(url: str) -> None:
    """Asked outside of the terminal's transaction, which sees what it saw first."""
    watcher = await asyncpg.connect(url)
    try:
        await eventually(lambda: watcher.fetchval(WAITING))
    finally:
        await watcher.close()


async def test_a_checkpoint_that_came_just_before_the_end_leaves_no_tail(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    await stores.execution_store.checkpoint([Checkpoint(ending("r").run_id, 1, "x" * 600)])
    async with terminal.transaction():
        # What a second checkpoint does.
        await terminal.execute("SELECT 1 FROM runs FOR UPDATE")
        finishing = asyncio.create_task(stores.execution_store.finish(ending("r")))
        await _somebody_waits(url)
        await terminal.execute("INSERT INTO answer_tails SELECT id, 600, 'tail' FROM runs")
        await terminal.execute("UPDATE runs SET heartbeat = heartbeat + 1")

    assert await finishing
    assert await stores.leftovers() == 0
    assert (await stores.runs.read_run(ANN, ending("r").run_id)).text == ending("r").content.text
    assert len(await stores.interactions()) == 1


async def test_parts_that_came_just_before_the_end_are_not_left_beside_a_text(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    async with terminal.transaction():
        # What a first checkpoint does that was not answered; the attempt that ended said none of it again.
        await terminal.execute("SELECT 1 FROM runs FOR UPDATE")
        finishing = asyncio.create_task(stores.execution_store.finish(ending("r")))
        await _somebody_waits(url)
        await terminal.execute(
            "INSERT INTO message_parts SELECT message_id, 1, 0, 'reasoning', '{}', 'Hm', '{}', false, NULL FROM runs"
        )
        await terminal.execute("UPDATE messages SET has_parts = true WHERE run_id IS NOT NULL")
        await terminal.execute("UPDATE runs SET heartbeat = heartbeat + 1")

    assert await finishing
    assert await stores.part_rows() == 0
    run = await stores.runs.read_run(ANN, ending("r").run_id)
    assert (run.content, run.status) == (ending("r").content, RunStatus.COMPLETED)
    assert len(await stores.interactions()) == 1


async def test_whoever_ended_it_while_the_end_waited_has_ended_it(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    async with terminal.transaction():
        await terminal.execute("UPDATE runs SET status = 'interrupted', epoch = epoch + 1")
        finishing = asyncio.create_task(stores.execution_store.finish(ending("r")))
        await _somebody_waits(url)

    assert not await finishing
    assert (await stores.runs.read_run(ANN, ending("r").run_id)).status is RunStatus.INTERRUPTED
    assert await stores.interactions() == []


async def test_the_cap_is_counted_once_the_owner_is_free(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await stores.runs.open_run(new_run("first"), turn("m", "t", opens=True))
    async with terminal.transaction():
        await terminal.execute(LOCK, ANN)
        opening = asyncio.create_task(
            stores.runs.open_run(new_run("second"), turn("n", "u", opens=True), LiveRunCap(1))
        )
        await _somebody_waits(url)
        await terminal.execute("UPDATE runs SET status = 'completed'")

    assert not (await opening).joined
    with pytest.raises(TooManyRuns):
        await stores.runs.open_run(new_run("third"), turn("o", "v", opens=True), LiveRunCap(1))


async def test_who_waited_too_long_for_the_owner_leaves_a_connection_as_good_as_new(
    url: str, terminal: asyncpg.Connection
) -> None:
    database = _database(url, lock_timeout=0.1)
    stores = sql_stores(database)
    async with terminal.transaction():
        await terminal.execute(LOCK, ANN)
        for number in range(3):
            with pytest.raises(StoreUnavailable):
                await stores.runs.open_run(new_run(f"r{number}"), turn(f"m{number}", f"t{number}", opens=True))

    assert not (await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))).joined
    assert await stores.execution_store.finish(ending("r"))
    await database.close()


async def test_a_thread_that_is_there_with_a_live_run_is_busy(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    with pytest.raises(ThreadBusy):
        await stores.runs.open_run(new_run("s"), turn("n", "t", opens=True))


@pytest.mark.parametrize("owner", ["o'brien", "back\\slash", "'); DROP TABLE runs; --", "ä"])
async def test_any_owner_is_locked_by_the_same_lock(
    url: str, stores: Stores, terminal: asyncpg.Connection, owner: str
) -> None:
    async with terminal.transaction():
        await terminal.execute(LOCK, owner)
        mine = new_run("mine", owner=UserId(owner))
        opening = asyncio.create_task(stores.runs.open_run(mine, turn("m", "t", opens=True), LiveRunCap(1)))
        await _somebody_waits(url)

    assert (await opening).run.owner_id == owner
    with pytest.raises(TooManyRuns):
        await stores.runs.open_run(new_run("s", owner=UserId(owner)), turn("n", "u", opens=True), LiveRunCap(1))
    assert not (await stores.runs.open_run(new_run("b", owner=BOB), turn("o", "v", opens=True), LiveRunCap(1))).joined


# -- in a thread that is there -----------------------------------------------------------------------------------------


async def _answer(stores: Stores, name: str, said: str = "an answer", *, opens: bool = False) -> None:
    await stores.runs.open_run(new_run(name), turn(name, "t", opens=opens))
    assert await stores.execution_store.finish(ending(name, said))


async def test_a_turn_that_waits_for_its_thread_keeps_what_was_changed_meanwhile(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await _answer(stores, "a", opens=True)
    async with terminal.transaction():
        await terminal.execute("UPDATE threads SET title = 'Tides', updated_at = $1", at(3600))
        opening = asyncio.create_task(stores.runs.open_run(new_run("b", now=at(90)), turn("b", "t")))
        await _somebody_waits(url)

    opened = await opening
    assert [message.position for message in opened.history] == [1, 2, 3]
    thread = await stores.threads.read_thread(ANN, opened.run.thread_id)
    assert (thread.title, thread.updated_at) == ("Tides", at(3600))
    page = await stores.threads.list_messages(ANN, thread.id, PageRequest())
    assert [(message.position, message.run_id) for message in page.items[2:]] == [(3, None), (4, opened.run.id)]


async def test_a_turn_that_waits_for_the_end_of_the_one_before_has_its_answer(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await stores.runs.open_run(new_run("a"), turn("a", "t", opens=True))
    async with terminal.transaction():
        await terminal.execute("UPDATE runs SET status = 'completed'")
        await terminal.execute("UPDATE messages SET content = 'Twice a day.', status = 'complete' WHERE position = 2")
        await terminal.execute("UPDATE threads SET updated_at = $1", at(60))
        opening = asyncio.create_task(stores.runs.open_run(new_run("b"), turn("b", "t"), LiveRunCap(1)))
        await _somebody_waits(url)

    assert [message.content for message in (await opening).history] == ["hello", "Twice a day.", "hello"]


async def test_a_thread_that_goes_while_a_turn_waits_for_it_is_not_there(
    url: str, stores: Stores, terminal: asyncpg.Connection
) -> None:
    await _answer(stores, "a", opens=True)
    async with terminal.transaction():
        await terminal.execute("DELETE FROM threads")
        opening = asyncio.create_task(stores.runs.open_run(new_run("b"), turn("b", "t")))
        await _somebody_waits(url)

    with pytest.raises(NotFound):
        await opening
    assert await terminal.fetchval("SELECT count(*) FROM messages") == 0


async def test_another_turn_counts_against_the_cap_and_leaves_nothing_where_there_is_no_room(
    stores: Stores, terminal: asyncpg.Connection
) -> None:
    await _answer(stores, "a", opens=True)
    await stores.runs.open_run(new_run("b"), turn("b", "u", opens=True))

    with pytest.raises(TooManyRuns):
        await stores.runs.open_run(new_run("c"), turn("c", "t"), LiveRunCap(1))
    with pytest.raises(NotFound):
        await stores.runs.open_run(new_run("c", owner=BOB), turn("c", "t"))
    assert await terminal.fetchval("SELECT count(*) FROM messages") == 4

    opened = await stores.runs.open_run(new_run("c"), turn("c", "t"), LiveRunCap(2))
    with pytest.raises(ThreadBusy) as busy:
        await stores.runs.open_run(new_run("d"), turn("d", "t"))
    assert busy.value.run_id == opened.run.id


async def test_a_long_thread_is_told_as_by_the_longer_way(stores: Stores) -> None:
    """Its newest messages come with the statement, and those before them by others."""
    before = [f"line {number}" for number in range(200)]
    await stores.runs.open_run(new_run("a"), turn("a", "t", *before, opens=True))
    await stores.execution_store.finish(ending("a"))

    for chars in (1, 40, 600, 100_000):
        name, key = f"b{chars}", IdempotencyKey(f"k{chars}", "f")
        at_once = await stores.runs.open_run(new_run(name, history_chars=chars), turn(name, "t"))
        assert await stores.execution_store.finish(ending(name))
        longer = await stores.runs.reopen_run(new_run(f"{name}r", history_chars=chars, key=key), at_once.run.id)
        assert await stores.execution_store.finish(ending(f"{name}r"))
        assert at_once.history == longer.history
    assert len(at_once.history) > 200
