"""PostgreSQL behind a pooler that hands out its connections by the transaction."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from chatorch.adapters.sql import StoreLocked, migrate, open_database, open_lock
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.execution_store import Checkpoint
from tests.support.pooler import Pooler
from tests.support.postgres import Databases
from tests.support.sizes import size
from tests.support.stores import ANN, Stores, ending, new_run, sql_stores, turn


@pytest.fixture
async def direct(postgres: Databases) -> str:
    return await postgres.fresh()


@pytest.fixture
async def pooler(direct: str) -> AsyncIterator[Pooler]:
    async with Pooler(direct) as pooler:
        yield pooler


@pytest.mark.soak
async def test_many_transactions_of_two_processes_meet_nothing_of_each_other(pooler: Pooler) -> None:
    databases = [open_database(pooler.url, pool_size=2) for _ in range(2)]
    count, few = size(20, 500), asyncio.Semaphore(20)

    async def live(database: int, number: int) -> None:
        async with few:
            await one(sql_stores(databases[database]), f"{database}_{number}", number)

    async def one(stores: Stores, name: str, number: int) -> None:
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
        await stores.execution_store.checkpoint([Checkpoint(ending(name).run_id, 1, "x" * number)])
        assert (await stores.runs.read_run(ANN, ending(name).run_id)).text == "x" * number
        assert await stores.execution_store.finish(ending(name))

    await asyncio.gather(*(live(database, number) for database in range(2) for number in range(count)))

    assert pooler.transactions >= 8 * count
    for database in databases:
        await database.close()


async def test_it_is_migrated_through_it(postgres: Databases) -> None:
    async with Pooler(await postgres.fresh(migrated=False)) as pooler:
        database = open_database(pooler.url)
        await migrate(database)
        await database.start()
        await database.close()


@pytest.mark.soak
async def test_the_lock_is_one_behind_it_and_beside_it(direct: str, pooler: Pooler) -> None:
    for _ in range(size(2, 20)):
        holder = open_lock(pooler.url)
        await holder.acquire()
        for url in (pooler.url, direct):
            for _ in range(3):
                with pytest.raises(StoreLocked):
                    await open_lock(url).acquire()
        await holder.confirm()
        await holder.release()
    beside, behind = open_lock(direct), open_lock(pooler.url)
    await beside.acquire()
    with pytest.raises(StoreLocked):
        await behind.acquire()
    await beside.release()


async def test_nothing_that_was_set_stays_with_a_connection_of_the_server(direct: str, pooler: Pooler) -> None:
    database = open_database(pooler.url)
    await database.write(lambda c: c.execute(text("SELECT 1")).close())
    shown = await database.write(lambda c: c.execute(text("SHOW lock_timeout")).scalar_one())
    assert shown == "3s"
    await database.close()
    for _ in range(3):  # each of the server's connections in its turn
        other = await asyncpg.connect(pooler.url, statement_cache_size=0)
        async with other.transaction():
            assert await other.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
            assert await other.fetchval("SELECT current_setting('lock_timeout')") == "0"
        await other.close()


async def test_what_it_does_not_let_through_is_said_by_its_name(pooler: Pooler) -> None:
    url = f"{pooler.url}?options=-c%20work_mem%3D8MB"
    for refused in (open_lock(url).acquire, open_database(url).start):
        with pytest.raises(StoreUnavailable, match="options; see ignore_startup_parameters"):
            await refused()
