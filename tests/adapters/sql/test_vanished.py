"""Connections to PostgreSQL that die without a word, and servers with defaults of their own."""

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import Connection, text

from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.execution_store import Checkpoint, Ownership
from chatorch.ports.runs import IdempotencyKey
from tests.adapters.sql.test_lock import _address
from tests.support.eventually import eventually
from tests.support.pooler import Pooler
from tests.support.postgres import Databases
from tests.support.stores import ending, new_run, sql_stores, turn
from tests.support.wire import Wire, wire_to

RUN = ending("a").run_id


@pytest.fixture
async def url(postgres: Databases) -> str:
    return await postgres.fresh()


@asynccontextmanager
async def over_a_wire(url: str, **measures: float):
    port = urlsplit(url).port
    assert port is not None
    async with wire_to(port) as wire:
        database = PostgresDatabase(_address(url.replace(f":{port}/", f":{wire.port}/")), **measures)
        yield database, wire
        wire.cut()  # else closing would wait for those that vanished
        await database.close()


def vanish(wire: Wire) -> None:
    """Nothing that was said on the connections that stand arrives; new ones do."""
    wire.swallow()
    wire.mend()


async def test_a_heartbeat_whose_connection_is_dead_gets_through_on_another_one_within_the_lease(url: str) -> None:
    async with over_a_wire(url, heartbeat_timeout=0.2) as (database, wire):
        stores = sql_stores(database)
        await stores.runs.open_run(new_run("a"), turn("a", "a", opens=True))
        beat = [Checkpoint(RUN, 1, None)]
        await stores.execution_store.checkpoint(beat)
        vanish(wire)

        began_at = time.monotonic()
        with pytest.raises(StoreUnavailable, match="in time"):
            await stores.execution_store.checkpoint(beat)
        assert await stores.execution_store.checkpoint(beat) == {RUN: Ownership.MINE}
        assert time.monotonic() - began_at < 2


async def test_what_becomes_of_a_transaction_that_nobody_waits_for_is_no_error(url: str) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with over_a_wire(url, statement_timeout=0.2) as (database, wire):
        await database.ping()
        vanish(wire)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.ping()

        async def is_over() -> bool:
            return database.in_use() == 0

        await eventually(is_over)
        gc.collect()
        assert told == []


async def test_what_a_machine_that_vanished_had_locked_is_free_soon_afterwards(url: str) -> None:
    def lock(connection: Connection) -> None:
        connection.execute(text("SELECT 1 FROM runs FOR UPDATE"))
        vanish(wire)
        connection.execute(text("SELECT 1"))

    async with over_a_wire(url, statement_timeout=0.2, idle_timeout=1.0) as (database, wire):
        stores = sql_stores(database)
        await stores.runs.open_run(new_run("a"), turn("a", "a", opens=True))
        with pytest.raises(StoreUnavailable):
            await database.write(lock)

        async def free() -> bool:
            return await stores.execution_store.checkpoint([Checkpoint(RUN, 1, None)]) == {RUN: Ownership.MINE}

        assert not await free()
        await eventually(free, within=5, every=0.05)


@pytest.mark.parametrize("behind", ["nothing", "a pooler"])
@pytest.mark.parametrize("default", ["repeatable read", "serializable"])
async def test_who_waited_for_a_lock_sees_what_was_written_meanwhile_whatever_the_servers_default(
    url: str, behind: str, default: str
) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute(f"ALTER DATABASE \"{urlsplit(url).path[1:]}\" SET default_transaction_isolation = '{default}'")
    await admin.close()

    async def ask_at_once(url: str) -> None:
        database = PostgresDatabase(_address(url))
        other = PostgresDatabase(_address(url))
        key = IdempotencyKey("key", "print")
        asked = [
            sql_stores(each).runs.open_run(new_run(f"{number}", key=key), turn(f"{number}", f"{number}", opens=True))
            for number, each in enumerate([database, other] * 3)
        ]
        opened = await asyncio.gather(*asked)
        assert len({each.run.id for each in opened}) == 1
        assert sum(not each.joined for each in opened) == 1
        await database.close()
        await other.close()

    if behind == "nothing":
        await ask_at_once(url)
        return
    async with Pooler(url, servers=4) as pooler:
        await ask_at_once(pooler.url)


async def test_a_host_that_does_not_answer_holds_up_one_connection_and_not_the_next(url: str) -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    address = _address(url.replace("127.0.0.1:", f"127.0.0.1:{port},127.0.0.1:") + "?connect_timeout=1")
    for bound in (5.0, 0.9):
        async with asyncio.timeout(bound):
            await (await address.connect()).close()
    silent.close()
    for writer in writers:
        writer.close()
