"""Tables, rows, files and connections that others hold: heartbeats get past them, and who watches these never waits."""

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, func, select, text

from chatorch.adapters.sql import Database, open_database
from chatorch.adapters.sql.tables import sweeps
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint, Ownership
from tests.support.outages import outage
from tests.support.postgres import Databases
from tests.support.stores import ANN, Stores, at, new_run, sql_stores, turn

AT_ONCE_S = 2.0
"""On a machine that is busy; what waits for a lock here would wait for ever."""
NAMES = ("a", "b", "c")
RUNS = [RunId(f"run_{name}") for name in NAMES]


@asynccontextmanager
async def held(url: str, statement: str):
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(statement)
        yield
    await connection.close()


async def open_all(stores: Stores) -> None:
    for name in NAMES:
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))


@pytest.fixture
async def postgres_url(postgres: Databases) -> str:
    return await postgres.fresh()


@pytest.fixture
async def on_postgres(postgres_url: str):
    database = open_database(postgres_url)
    await open_all(sql_stores(database))
    yield database
    await database.close()


async def test_who_watches_leaves_nothing_behind(database: Database) -> None:
    stores = sql_stores(database)
    await open_all(stores)

    seen = await stores.execution_store.witness()

    assert list(seen) == list(await stores.execution_store.live_runs())
    assert await database.read(lambda c: c.execute(select(func.count()).select_from(sweeps)).scalar_one()) == 0


async def test_many_that_watch_at_once_are_in_nobodys_way(url: str) -> None:
    databases = [open_database(url) for _ in range(6)]
    await open_all(sql_stores(databases[0]))

    seen = await asyncio.gather(*(sql_stores(database).execution_store.witness(RUNS) for database in databases))

    assert [len(runs) for runs in seen] == [3] * 6
    await asyncio.gather(*(database.close() for database in databases))


@pytest.mark.parametrize(
    "lock", ["runs IN SHARE", "messages IN ACCESS EXCLUSIVE", "threads IN EXCLUSIVE", "message_parts IN SHARE"]
)
async def test_where_a_table_is_locked_who_watches_is_told_at_once(
    on_postgres: Database, postgres_url: str, lock: str
) -> None:
    execution_store = sql_stores(on_postgres).execution_store
    seen = await execution_store.witness()

    async with held(postgres_url, f"LOCK TABLE {lock} MODE"):
        began_at = time.monotonic()
        for attempt in (execution_store.witness(), execution_store.interrupt(seen, at(1))):
            with pytest.raises(StoreUnavailable):
                await attempt
        assert time.monotonic() - began_at < AT_ONCE_S

    assert len(await execution_store.witness()) == 3


async def test_a_server_that_takes_no_writes_is_not_witnessed(on_postgres: Database, postgres_url: str) -> None:
    execution_store = sql_stores(on_postgres).execution_store
    async with outage("read-only", postgres_url):
        with pytest.raises(StoreUnavailable):
            await execution_store.witness()
        assert len(await execution_store.live_runs()) == 3


async def test_a_row_that_is_held_holds_up_no_heartbeat_but_its_own_and_nobody_takes_it_for_dead(
    on_postgres: Database, postgres_url: str
) -> None:
    stores = sql_stores(on_postgres)
    before = await stores.execution_store.witness()

    async with held(postgres_url, "SELECT 1 FROM runs WHERE id = 'run_b' FOR UPDATE"):
        ownerships = await stores.execution_store.checkpoint([Checkpoint(run, 1, "text") for run in RUNS])
        assert [ownerships[run] for run in RUNS] == [Ownership.MINE, Ownership.HELD, Ownership.MINE]
        assert {run.run_id for run in await stores.execution_store.witness(RUNS)} == {RUNS[0], RUNS[2]}
        assert await stores.execution_store.interrupt(before, at(1)) == []
        zombie = await stores.execution_store.checkpoint([Checkpoint(RUNS[1], 7, "zombie")])
        assert zombie == {RUNS[1]: Ownership.LOST}

    assert len(await stores.execution_store.witness(RUNS)) == 3
    assert (await stores.execution_store.checkpoint([Checkpoint(RUNS[1], 1, "text")])) == {RUNS[1]: Ownership.MINE}


async def test_a_message_that_is_held_is_not_saved_and_the_heartbeat_moves(
    on_postgres: Database, postgres_url: str
) -> None:
    stores = sql_stores(on_postgres)

    async with held(postgres_url, "SELECT 1 FROM messages WHERE id = 'msg_b_answer' FOR UPDATE"):
        ownerships = await stores.execution_store.checkpoint([Checkpoint(run, 1, "text") for run in RUNS])

    assert [ownerships[run] for run in RUNS] == [Ownership.MINE, Ownership.HELD, Ownership.MINE]
    assert {run.heartbeat for run in await stores.execution_store.live_runs()} == {1}
    texts = [(await stores.runs.read_run(ANN, run)).text for run in RUNS]
    assert texts == ["text", "", "text"]


@pytest.mark.parametrize("table", ["runs WHERE id = 'run_b'", "messages", "threads WHERE id = 'thr_b'"])
async def test_who_ends_abandoned_runs_waits_for_no_row_and_ends_the_others(
    on_postgres: Database, postgres_url: str, table: str
) -> None:
    execution_store = sql_stores(on_postgres).execution_store
    seen = await execution_store.witness()
    where = table.replace("messages", "messages WHERE id = 'msg_b_answer'")

    async with held(postgres_url, f"SELECT 1 FROM {where} FOR UPDATE"):
        assert set(await execution_store.interrupt(seen, at(1))) == {RUNS[0], RUNS[2]}

    assert list(await execution_store.interrupt(seen, at(2))) == [RUNS[1]]


async def test_a_heartbeat_gets_through_while_all_other_connections_are_taken(postgres_url: str) -> None:
    database = open_database(postgres_url, pool_size=2)
    stores = sql_stores(database)
    await open_all(stores)
    async with held(postgres_url, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"):
        stuck = [asyncio.ensure_future(database.read(_users)) for _ in range(6)]
        async with asyncio.timeout(5):
            while database.in_use() < 2:  # the pool tells nobody
                await asyncio.sleep(0)
        async with asyncio.timeout(AT_ONCE_S):
            ownerships = await stores.execution_store.checkpoint([Checkpoint(RUNS[0], 1, "text")])
            assert len(await stores.execution_store.witness()) == 3
    assert ownerships == {RUNS[0]: Ownership.MINE}
    await asyncio.gather(*stuck)
    await database.close()


def _users(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM users")).scalar_one()


@pytest.mark.parametrize("state", ["53100", "25006", "XX001"])
async def test_where_heartbeats_are_refused_and_a_small_write_is_not_who_watches_is_told(
    on_postgres: Database, postgres_url: str, state: str
) -> None:
    execution_store = sql_stores(on_postgres).execution_store
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;
        CREATE TRIGGER refused BEFORE UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    )
    assert len(await execution_store.witness()) == 3, "nobody is quiet"
    with pytest.raises(StoreUnavailable):
        await execution_store.witness(RUNS)

    await admin.execute("DROP TRIGGER refused ON runs")
    before = await execution_store.live_runs()
    assert list(await execution_store.witness(RUNS)) == list(before), "nothing was moved"
    await admin.close()


# -- SQLite ----------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_busy_is_told_to_who_watches_while_an_executor_waits(sqlite_path: Path) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    stores = sql_stores(database)
    await open_all(stores)
    seen = await stores.execution_store.witness()
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(stores.execution_store.checkpoint([Checkpoint(RUNS[0], 1, "text")]))
        began_at = time.monotonic()
        for attempt in (stores.execution_store.witness(), stores.execution_store.interrupt(seen, at(1))):
            with pytest.raises(StoreUnavailable):
                await attempt
        assert time.monotonic() - began_at < AT_ONCE_S
        assert not waiting.done()
        other.execute("ROLLBACK")

    assert await waiting == {RUNS[0]: Ownership.MINE}
    assert (await stores.runs.read_run(ANN, RUNS[0])).status is RunStatus.STREAMING
    await database.close()


async def test_a_heartbeat_goes_before_all_that_waits_to_be_written(sqlite_path: Path) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    stores = sql_stores(database)
    await open_all(stores)
    order: list[str] = []

    async def wait_for(name: str, work) -> None:
        await work
        order.append(name)

    await asyncio.gather(
        *(wait_for("other", database.write(lambda c: None)) for _ in range(500)),
        wait_for("heartbeat", stores.execution_store.checkpoint([Checkpoint(RUNS[0], 1, None)])),
    )

    assert order.index("heartbeat") < 70
    await database.close()
