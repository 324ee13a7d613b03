"""PostgreSQL that restarts, hangs, or has no connection left."""

import asyncio
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.adapters.sql.urls import parse_url
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.ports.execution_store import Checkpoint, Ownership
from tests.support.fakes import settle
from tests.support.postgres import Databases, PostgresServer
from tests.support.stores import ANN, ending, new_run, sql_stores, turn

IMPATIENT = 0.5
"""Seconds for a statement where one is going to take too long; a busy machine answers the others within it."""


def postgres_database(url: str, **measures: float) -> PostgresDatabase:
    parsed = parse_url(url)
    assert not hasattr(parsed, "exists"), "not a path"
    return PostgresDatabase(parsed, **measures)


def sleep(seconds: float):
    return lambda connection: connection.execute(text(f"SELECT pg_sleep({seconds})")).close()


async def until_in_use(database: PostgresDatabase, number: int) -> None:
    await until(lambda: database.in_use() >= number)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # a server does it, and tells nobody
            await asyncio.sleep(0)


async def test_after_a_crash_what_was_in_flight_is_unavailable_and_the_next_is_fine(
    crashing_postgres: PostgresServer, own_postgres: Databases
) -> None:
    database = postgres_database(await own_postgres.fresh())
    stores = sql_stores(database)
    acknowledged: list[str] = []
    unavailable: list[str] = []
    crashed = asyncio.Event()

    async def write(number: int) -> None:
        step = 0
        while not crashed.is_set():
            name = f"{number}_{step}"
            try:
                await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
                acknowledged.append(name)
            except StoreUnavailable:
                unavailable.append(name)
                await crashed.wait()
            step += 1

    writers = [asyncio.create_task(write(number)) for number in range(10)]
    in_flight = asyncio.create_task(database.write(sleep(60)))
    await until(lambda: len(acknowledged) >= 50)
    await asyncio.to_thread(crashing_postgres.crash)
    with pytest.raises(StoreUnavailable):
        await in_flight
    with pytest.raises(StoreUnavailable):
        await database.ping()
    crashing_postgres.start()
    came_back = time.monotonic()
    await database.ping()
    assert time.monotonic() - came_back < 5
    crashed.set()
    await asyncio.gather(*writers)

    assert unavailable
    live = {run.run_id for run in await stores.execution_store.live_runs()}
    assert {f"run_{name}" for name in acknowledged} <= live
    assert database.in_use() == 0
    await database.close()


async def test_every_idle_connection_survives_a_restart_unnoticed(
    crashing_postgres: PostgresServer, own_postgres: Databases
) -> None:
    database = postgres_database(await own_postgres.fresh(), pool_size=3)
    await asyncio.gather(*(database.write(sleep(0.05)) for _ in range(3)))

    await asyncio.to_thread(crashing_postgres.crash)
    crashing_postgres.start()
    await settle()  # it is heard that they are closed

    await asyncio.gather(*(database.write(sleep(0.05)) for _ in range(6)))
    await database.close()


async def test_a_server_that_hangs_is_given_up_on_and_used_again_when_it_is_back(
    postgres_server: PostgresServer, own_postgres: Databases
) -> None:
    database = postgres_database(await own_postgres.fresh(), pool_size=1, statement_timeout=IMPATIENT)
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))

    postgres_server.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(10):
                await stores.execution_store.finish(ending("r"))
    finally:
        postgres_server.thaw()

    assert database.in_use() == 0
    assert await stores.execution_store.finish(ending("r"))
    assert (await stores.runs.read_run(ANN, ending("r").run_id)).text == "an answer"
    assert len(await stores.interactions()) == 1
    await database.close()


async def test_a_commit_that_is_not_answered_spoils_no_later_transaction(
    postgres_server: PostgresServer, own_postgres: Databases
) -> None:
    database = postgres_database(await own_postgres.fresh(), pool_size=1, statement_timeout=IMPATIENT)

    def hang_at_commit(connection: Connection) -> None:
        connection.execute(text("INSERT INTO alembic_version VALUES ('unsure')"))
        postgres_server.freeze()

    try:
        with pytest.raises(StoreUnavailable):
            await database.write(hang_at_commit)
    finally:
        postgres_server.thaw()

    for _ in range(3):
        await database.write(lambda connection: connection.execute(text("SELECT 1")).close())
    assert database.in_use() == 0
    await database.close()


async def test_a_statement_that_takes_too_long_is_unavailable_and_undone(own_postgres: Databases) -> None:
    url = await own_postgres.fresh()
    database = postgres_database(url, pool_size=1, statement_timeout=IMPATIENT)

    def slow(connection: Connection) -> None:
        connection.execute(text("DELETE FROM alembic_version"))
        sleep(60)(connection)

    with pytest.raises(StoreUnavailable):
        await database.write(slow)

    await database.ping()
    await database.close()
    patient = postgres_database(url)
    await patient.start()
    await patient.close()


async def test_no_connection_left_is_unavailable_and_none_is_lost(own_postgres: Databases) -> None:
    database = postgres_database(await own_postgres.fresh(), pool_size=2, pool_timeout=0.1)
    held = [asyncio.create_task(database.write(sleep(0.5))) for _ in range(2)]
    await until_in_use(database, 2)

    refused = await asyncio.gather(*(database.ping() for _ in range(20)), return_exceptions=True)

    assert {type(outcome) for outcome in refused} == {StoreUnavailable}
    await asyncio.gather(*held)
    assert database.in_use() == 0
    await database.ping()
    await database.close()


async def test_a_server_without_connections_to_give_is_unavailable(own_postgres: Databases) -> None:
    url = await own_postgres.fresh()
    one, greedy = postgres_database(url), postgres_database(url, pool_size=100)
    await one.ping()

    outcomes = await asyncio.gather(*(greedy.write(sleep(0.5)) for _ in range(80)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {type(None), StoreUnavailable}
    await one.ping()
    await asyncio.gather(one.close(), greedy.close())


@pytest.mark.parametrize("where", ["127.0.0.1:1/chat", "127.0.0.1:{port}/no_such_database"])
async def test_a_database_that_is_not_there_is_unavailable(postgres_server: PostgresServer, where: str) -> None:
    database = postgres_database(f"postgresql://chatorch:hunter2@{where.format(port=postgres_server.port)}")

    for attempt in (database.start, database.ping):
        with pytest.raises(StoreUnavailable) as refused:
            await attempt()
        assert "hunter2" not in str(refused.value) + str(refused.value.__cause__)
    await database.close()


async def test_a_cancelled_callers_transaction_runs_to_its_end(own_postgres: Databases) -> None:
    url = await own_postgres.fresh()
    database = postgres_database(url)
    stores = sql_stores(database)
    await stores.runs.open_run(new_run("r"), turn("m", "t", opens=True))
    blocker = asyncio.create_task(database.write(_hold_runs_for_half_a_second))
    await until_in_use(database, 1)

    calling = asyncio.create_task(stores.execution_store.finish(ending("r")))
    await until_in_use(database, 2)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    await blocker
    await database.close()
    reopened = postgres_database(url)
    stores = sql_stores(reopened)
    assert (await stores.runs.read_run(ANN, ending("r").run_id)).text == "an answer"
    assert len(await stores.interactions()) == 1
    await reopened.close()


def _hold_runs_for_half_a_second(connection: Connection) -> None:
    connection.execute(text("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"))
    sleep(0.5)(connection)


async def test_a_closed_database_is_unavailable(own_postgres: Databases) -> None:
    database = postgres_database(await own_postgres.fresh())
    await database.ping()

    await database.close()

    with pytest.raises(StoreUnavailable):
        await database.ping()


async def test_no_connection_is_held_between_transactions(own_postgres: Databases) -> None:
    database = postgres_database(await own_postgres.fresh(), pool_size=2)
    stores = sql_stores(database)
    names = [f"n{index}" for index in range(60)]

    await asyncio.gather(*(stores.runs.open_run(new_run(name), turn(name, name, opens=True)) for name in names))

    assert database.in_use() == 0
    ownerships = await stores.execution_store.checkpoint([Checkpoint(ending(name).run_id, 1, "x") for name in names])
    assert set(ownerships.values()) == {Ownership.MINE}
    await database.close()


async def test_a_server_that_only_reads_does_not_answer_to_a_ping(postgres: Databases) -> None:
    url = await postgres.fresh()
    database = postgres_database(url)
    name = parse_url(url).database
    await database.ping()
    await database.write(
        lambda c: c.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')).close()
    )
    standby = postgres_database(url)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await standby.ping()
    await standby.close()
    await database.close()
