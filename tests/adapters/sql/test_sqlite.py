"""SQLite under load, under another process, and under callers that do not wait."""

import asyncio
import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from chatorch.adapters.sql.sqlite import SqliteDatabase
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus
from chatorch.ports.execution_store import Checkpoint, Ownership
from tests.support.stores import ANN, ending, new_run, sql_stores, turn

WRITE_IN_ANOTHER_PROCESS = """
import asyncio, sys
from tests.support.stores import ending, new_run, sql_stores, turn
from chatorch.adapters.sql import open_database

async def main(url, prefix, count):
    database = open_database(url)
    stores = sql_stores(database)
    async def one(name):
        await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
        assert await stores.execution_store.finish(ending(name))
    await asyncio.gather(*(one(f"{prefix}{index}") for index in range(count)))
    await database.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def count(table: str):
    return lambda connection: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_fifty_writers_at_once_queue_and_all_get_through(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    stores = sql_stores(database)

    async def writer(number: int) -> None:
        for step in range(4):
            name = f"w{number}_{step}"
            await stores.runs.open_run(new_run(name), turn(name, name, opens=True))
            assert await stores.execution_store.checkpoint([Checkpoint(ending(name).run_id, 1, "so")]) == {
                ending(name).run_id: Ownership.MINE
            }
            assert await stores.execution_store.finish(ending(name))
            assert (await stores.runs.read_run(ANN, ending(name).run_id)).status is RunStatus.COMPLETED

    await asyncio.gather(*(writer(number) for number in range(50)))

    assert await database.read(count("interactions")) == 200
    await database.close()
    check_integrity(sqlite_path)


async def test_two_processes_writing_at_once_wait_for_each_other(sqlite_path: Path) -> None:
    url = f"sqlite:///{sqlite_path}"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITE_IN_ANOTHER_PROCESS, url, prefix, "40", stderr=asyncio.subprocess.PIPE
        )
        for prefix in ("a", "b")
    ]

    async with asyncio.timeout(30):
        errors = await asyncio.gather(*(process.communicate() for process in processes))

    assert [process.returncode for process in processes] == [0, 0], errors
    database = SqliteDatabase(sqlite_path)
    assert await database.read(count("interactions")) == 80
    await database.close()
    check_integrity(sqlite_path)


async def test_readers_go_on_while_a_writer_is_busy(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    go_on = threading.Event()
    writing = asyncio.create_task(database.write(lambda _: go_on.wait(5)))

    async with asyncio.timeout(5):
        await asyncio.gather(*(database.read(count("runs")) for _ in range(20)))

    assert not writing.done()
    go_on.set()
    assert await writing
    await database.close()


async def test_a_database_that_another_process_keeps_locked_is_unavailable(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path, busy_timeout=0.05)
    await database.ping()
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable):
            await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))

        other.execute("COMMIT")
    await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))
    assert database.in_use() == 0
    await database.close()


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    stores = sql_stores(database)

    def no_more_room(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await database.write(no_more_room)
    with pytest.raises(StoreUnavailable):
        await stores.runs.open_run(new_run("r"), turn("m", "t", "x" * 500_000, opens=True))

    assert await database.read(count("threads")) == 0
    await database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1073741823").close())
    await stores.runs.open_run(new_run("r"), turn("m", "t", "x" * 500_000, opens=True))
    await database.close()


async def test_a_full_disk_is_unavailable_to_all_that_are_committed_together(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    stores = sql_stores(database)

    def no_more_room(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await database.write(no_more_room)
    contents = ["short", "x" * 500_000, "short"]
    outcomes = await asyncio.gather(
        *(
            stores.runs.open_run(new_run(f"r{i}"), turn(f"m{i}", str(i), content, opens=True))
            for i, content in enumerate(contents)
        ),
        return_exceptions=True,
    )

    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert await database.read(count("threads")) == 0
    await database.close()


async def test_a_new_file_that_another_process_is_preparing_is_waited_for(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE first (n INTEGER)")
        other.execute("BEGIN IMMEDIATE")

        pinging = asyncio.create_task(database.ping())
        _, waiting = await asyncio.wait({pinging}, timeout=0.1)
        other.execute("COMMIT")

        assert waiting
        await pinging
    await database.close()


async def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    database = SqliteDatabase(folder / "chat.db")
    folder.rmdir()

    for attempt in (database.start, database.ping):
        with pytest.raises(StoreUnavailable):
            await attempt()
    await database.close()


async def test_a_cancelled_callers_transaction_runs_to_its_end(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(text("INSERT INTO alembic_version VALUES ('half')"))
        begun.set()
        assert go_on.wait(5)
        connection.execute(text("INSERT INTO alembic_version VALUES ('whole')"))

    calling = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(begun.wait, 5)
    waiting = asyncio.create_task(
        database.write(lambda c: c.execute(text("INSERT INTO alembic_version VALUES ('never begun')")).close())
    )
    await asyncio.sleep(0)
    for task in (calling, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go_on.set()

    def versions(connection: Connection) -> set[str]:
        return set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())

    found = await database.write(versions)
    assert {"half", "whole"} <= found
    assert "never begun" not in found
    assert database.in_use() == 0
    await database.close()


async def test_an_error_in_a_transaction_undoes_it_and_comes_out_as_it_is(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)

    def fail(connection: Connection) -> None:
        connection.execute(text("DELETE FROM alembic_version"))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.write(fail)

    assert await database.read(count("alembic_version")) == 1
    assert database.in_use() == 0
    await database.close()


async def test_what_is_committed_is_synced_and_foreign_keys_hold(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)

    def pragmas(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)

    full = 2
    assert await database.write(pragmas) == ("wal", full, 1)
    assert await database.read(pragmas) == ("wal", full, 1)
    await database.close()


async def test_connections_in_use_are_told(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path, readers=2)
    go_on = threading.Event()
    begun = threading.Barrier(4)

    def hold(_: Connection) -> None:
        begun.wait(5)
        go_on.wait(5)

    assert (database.in_use(), database.size()) == (0, 3)
    tasks = [asyncio.create_task(call(hold)) for call in (database.write, database.read, database.read)]
    await asyncio.to_thread(begun.wait, 5)
    assert database.in_use() == 3
    go_on.set()
    await asyncio.gather(*tasks)
    assert database.in_use() == 0
    await database.close()


async def test_a_closed_database_is_unavailable(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path)
    await database.ping()

    await database.close()

    with pytest.raises(StoreUnavailable):
        await database.ping()


async def test_a_file_that_only_reads_does_not_answer_to_a_ping(sqlite_path: Path) -> None:
    database = SqliteDatabase(sqlite_path, busy_timeout=0.05)
    await database.ping()
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await database.read(count("users")) == 0
        with pytest.raises(StoreUnavailable):
            await database.ping()
    await database.ping()
    await database.close()


async def test_a_new_file_is_its_owners_only(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "new.db")
    await database.start()
    await database.ping()
    modes = {entry.name: oct(entry.stat().st_mode & 0o777) for entry in os.scandir(tmp_path)}
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), "0o600")
    await database.close()
