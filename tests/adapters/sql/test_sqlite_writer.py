"""Transactions that wait together are committed together, and still stand or fall alone."""

import asyncio
import sqlite3
import threading

import pytest
from sqlalchemy import text

from chatorch.adapters.sql.sqlite import SqliteDatabase
from chatorch.domain.model.errors import StoreUnavailable


@pytest.fixture
async def database(tmp_path):
    database = SqliteDatabase(tmp_path / "a.db")
    await database.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)")))
    yield database
    await database.close()


def insert(number: int):
    def work(connection) -> int:
        connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})
        return number

    return work


async def stored(database) -> list[int]:
    return await database.read(lambda c: list(c.execute(text("SELECT n FROM t ORDER BY n")).scalars()))


async def test_each_of_many_gets_its_own_result(database):
    assert await asyncio.gather(*(database.write(insert(n)) for n in range(200))) == list(range(200))
    assert await stored(database) == list(range(200))


async def test_one_that_fails_takes_nothing_with_it_and_leaves_nothing_behind(database):
    def half_done(connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1000)"))
        raise LookupError("changed my mind")

    results = await asyncio.gather(
        *(database.write(insert(n)) for n in range(10)),
        database.write(half_done),
        *(database.write(insert(n)) for n in range(10, 20)),
        return_exceptions=True,
    )

    assert isinstance(results[10], LookupError)
    assert await stored(database) == list(range(20))


async def test_what_one_wrote_the_next_one_sees(database):
    await database.write(insert(1))

    def add_one(connection) -> None:
        connection.execute(text("INSERT INTO t SELECT max(n) + 1 FROM t"))

    await asyncio.gather(*(database.write(add_one) for _ in range(50)))

    assert await stored(database) == list(range(1, 52))


async def test_one_that_is_cancelled_before_its_turn_never_runs(database):
    begun, go_on = threading.Event(), threading.Event()

    def hold(_connection) -> None:
        begun.set()
        assert go_on.wait(5)

    holding = asyncio.ensure_future(database.write(hold))
    await asyncio.to_thread(begun.wait, 5)
    waiting = asyncio.ensure_future(database.write(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await holding

    assert await stored(database) == []


async def test_closing_finishes_what_was_taken_on_and_takes_on_no_more(tmp_path):
    database = SqliteDatabase(tmp_path / "b.db")
    await database.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)")))
    writing = [asyncio.ensure_future(database.write(insert(n))) for n in range(50)]
    await asyncio.sleep(0)

    await database.close()

    assert await asyncio.gather(*writing) == list(range(50))
    with pytest.raises(StoreUnavailable):
        await database.write(insert(51))


async def test_a_file_that_stays_locked_makes_nobody_wait_twice(tmp_path):
    database = SqliteDatabase(tmp_path / "c.db", busy_timeout=0.3)
    await database.write(lambda c: c.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)")))
    with sqlite3.connect(tmp_path / "c.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(2):
            results = await asyncio.gather(*(database.write(insert(n)) for n in range(500)), return_exceptions=True)
        other.execute("ROLLBACK")
    other.close()

    assert {type(result) for result in results} == {StoreUnavailable}
    await database.close()
