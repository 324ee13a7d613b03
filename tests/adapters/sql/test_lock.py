"""Alone or not: one process at a time holds the store."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from chatorch.adapters.sql import open_database, open_lock
from chatorch.adapters.sql.lock import StoreLocked
from chatorch.adapters.sql.lock_postgres import _STORE, PostgresLock
from chatorch.adapters.sql.urls import parse_url
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.postgres import Databases, PostgresServer

OURS = "locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

HOLD_AND_DIE = """
import asyncio, sys
from chatorch.adapters.sql import open_lock

async def main(url):
    lock = open_lock(url)
    await lock.acquire()
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


async def test_a_second_process_is_refused_with_the_reason(url: str) -> None:
    first, second = open_lock(url), open_lock(url)
    await first.acquire()

    with pytest.raises(StoreLocked) as refused:
        await second.acquire()

    assert "REDIS_URL" in str(refused.value)
    assert "\n" not in str(refused.value)
    if url.startswith("sqlite"):
        assert f"pid {os.getpid()}" in str(refused.value)
    await first.release()
    await second.acquire()
    await second.release()


async def test_those_that_share_it_keep_out_who_does_not(url: str) -> None:
    one, two, alone = open_lock(url, shared=True), open_lock(url, shared=True), open_lock(url)
    await one.acquire()
    await two.acquire()
    await one.release()
    with pytest.raises(StoreLocked, match="set REDIS_URL on all of them"):
        await alone.acquire()
    await two.release()
    await alone.acquire()
    with pytest.raises(StoreLocked, match="set REDIS_URL on all of them"):
        await one.acquire()
    await alone.release()


async def test_releasing_twice_or_never_held_does_nothing(url: str) -> None:
    lock = open_lock(url)

    await lock.release()
    await lock.acquire()
    await lock.release()
    await lock.release()

    await lock.acquire()
    await lock.release()


async def test_a_process_that_is_killed_gives_it_back(url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_AND_DIE, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lock = open_lock(url)
    async with asyncio.timeout(15):
        assert await process.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked):
            await lock.acquire()
        process.kill()
        await process.wait()
        while True:  # PostgreSQL notices a moment later
            try:
                await lock.acquire()
                break
            except StoreLocked:
                await asyncio.sleep(0)
    await lock.release()


async def test_locks_of_two_databases_are_two(own_postgres: Databases, tmp_path: Path) -> None:
    urls = [await own_postgres.fresh(), await own_postgres.fresh()]
    urls += [f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"]
    locks = [open_lock(url) for url in urls]

    for lock in locks:
        await lock.acquire()

    for lock in locks:
        await lock.release()


async def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    gone = open_lock(f"sqlite:///{folder}/chat.db")
    folder.rmdir()

    for lock in (gone, open_lock("postgresql://chatorch@127.0.0.1:1/chat")):
        with pytest.raises(StoreUnavailable):
            await lock.acquire()


async def test_after_a_crash_of_postgresql_the_lock_is_taken_again(
    crashing_postgres: PostgresServer, own_postgres: Databases
) -> None:
    url = await own_postgres.fresh()
    lock = PostgresLock(parse_url(url), retry_every=0.02)
    await lock.acquire()
    told = _Told()

    with told:
        await asyncio.to_thread(crashing_postgres.crash)
        await told.until("lost")
        crashing_postgres.start()
        await told.until("held again")

    with pytest.raises(StoreLocked):
        await open_lock(url).acquire()
    await lock.release()


async def test_another_process_that_was_quicker_is_reported_once(postgres: Databases) -> None:
    url = await postgres.fresh()
    lock = PostgresLock(parse_url(url), retry_every=0.02)
    await lock.acquire()
    quicker, breaker = await asyncpg.connect(url), await asyncpg.connect(url)
    told = _Told()

    with told:
        waiting = asyncio.create_task(quicker.execute("SELECT pg_advisory_lock($1)", _STORE))
        async with asyncio.timeout(10):
            while not await breaker.fetchval(f"SELECT count(*) FROM pg_locks WHERE {OURS} AND NOT granted"):
                pass
        await breaker.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {OURS} AND granted")
        await told.until("another process took the lock")
        await waiting
        for _ in range(5):
            with pytest.raises(StoreLocked):
                await open_lock(url).acquire()
        await quicker.close()
        await told.until("held again")

    assert sum("another process" in message for message in told.messages) == 1
    await lock.release()
    await breaker.close()


async def test_releasing_while_the_server_is_away_stops_the_trying(
    crashing_postgres: PostgresServer, own_postgres: Databases
) -> None:
    lock = PostgresLock(parse_url(await own_postgres.fresh()), retry_every=0.02)
    await lock.acquire()
    told = _Told()

    with told:
        await asyncio.to_thread(crashing_postgres.crash)
        await told.until("lost")
        await lock.release()
        crashing_postgres.start()

    assert not any(task.get_name() == "store-lock" for task in asyncio.all_tasks())


class _Told(logging.Handler):
    """What the lock says in the log, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._changed = asyncio.Event()
        self._logger = logging.getLogger("chatorch.adapters.sql.lock_postgres")

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self._changed.set()

    async def until(self, part: str) -> None:
        async with asyncio.timeout(10):
            while not any(part in message for message in self.messages):
                self._changed.clear()
                await self._changed.wait()

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)


async def test_a_database_that_is_not_there_and_a_user_that_is_nobody_are_named_in_one_line(
    postgres_server: PostgresServer,
) -> None:
    address = postgres_server.url.rsplit("/", 1)[0]
    for url, word in ((f"{address}/no_such_database", "database of this name"), (_as_nobody(address), "user")):
        with pytest.raises(StoreUnavailable, match=word):
            await open_lock(url).acquire()
        database = open_database(url)
        with pytest.raises(StoreUnavailable, match=word):
            await database.ping()
        await database.close()


def _as_nobody(address: str) -> str:
    return f"postgresql://nobody_at_all@{address.rpartition('@')[2]}/postgres"


async def test_a_lock_that_was_given_back_names_nobody(tmp_path: Path) -> None:
    lock, file = open_lock(f"sqlite:///{tmp_path}/a.db"), tmp_path / "a.db.lock"
    await lock.acquire()
    held = file.read_text()
    await lock.release()

    assert held == str(os.getpid())
    assert file.read_text() == ""
