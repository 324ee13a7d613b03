"""Alone or not: one process at a time holds the store."""

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg
import pytest

from chatorch.adapters.sql import StoreLock, StoreLocked, open_database, open_lock
from chatorch.adapters.sql.connecting import PostgresAddress
from chatorch.adapters.sql.lock_file import SqliteLock
from chatorch.adapters.sql.lock_postgres import _STORE, LEASE, PING_EVERY, PING_TIMEOUT, PostgresLock
from chatorch.adapters.sql.urls import parse_url
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.pooler import Pooler
from tests.support.postgres import Databases, PostgresServer
from tests.support.sizes import size
from tests.support.wire import wire_to

QUICK = {"retry_every": 0.02, "ping_every": 0.05, "ping_timeout": 0.3, "lease": 1.0}
"""The lock's own proportions, a dozen times as fast."""
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
    lock = PostgresLock(_address(url), **QUICK)
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


async def test_another_process_that_was_quicker_is_reported_once_and_has_it(postgres: Databases) -> None:
    url = await postgres.fresh()
    lock = PostgresLock(_address(url), **QUICK)
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
        async with asyncio.timeout(5):
            await lock.taken()
        with pytest.raises(StoreUnavailable, match="does not hold the lock"):
            await lock.confirm()
        for _ in range(5):
            with pytest.raises(StoreLocked):
                await open_lock(url).acquire()
        await quicker.close()
        await told.until("held again")

    assert sum("another process" in message for message in told.messages) == 1
    await lock.confirm()
    await lock.release()
    await breaker.close()


@pytest.mark.soak
@pytest.mark.parametrize("behind", ["nothing", "a pooler"])
async def test_a_connection_that_vanishes_is_noticed_before_anybody_else_gets_the_lock(
    postgres: Databases, behind: str
) -> None:
    """Never two that think that they are alone; and the first gets it back when the other one has left."""
    assert PING_EVERY + PING_TIMEOUT < 5 < LEASE
    url = await postgres.fresh()
    async with AsyncExitStack() as stack:
        there = url if behind == "nothing" else (await stack.enter_async_context(Pooler(url, servers=4))).url
        port = urlsplit(there).port
        assert port is not None
        wire = await stack.enter_async_context(wire_to(port))
        lock = PostgresLock(_address(url.replace(f":{urlsplit(url).port}/", f":{wire.port}/")), **QUICK)
        await lock.acquire()
        for _ in range(size(2, 20)):
            told = _Told()
            with told:
                wire.swallow()
                other = open_lock(url)
                async with asyncio.timeout(10):
                    await _until_acquired(other)
                assert "lost" in told.messages[0], "before the other one had it"
                with pytest.raises(StoreUnavailable):
                    await lock.confirm()
                wire.mend()
                await told.until("another process took the lock")
                await other.release()
                await told.until("held again")
            await lock.confirm()
        await lock.release()


@pytest.mark.parametrize(
    "setting",
    ["idle_session_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "statement_timeout"],
)
async def test_no_time_out_of_the_server_takes_it_away(postgres: Databases, setting: str) -> None:
    url = await postgres.fresh()
    admin = await asyncpg.connect(url)
    await admin.execute(f'ALTER DATABASE "{urlsplit(url).path[1:]}" SET {setting} = 100')
    lock, told = PostgresLock(_address(url)), _Told()
    with told:
        await lock.acquire()
        await admin.execute("SELECT pg_sleep(0.4)")
        await lock.confirm()
    assert told.messages == []
    await lock.release()
    await admin.close()


async def test_it_holds_no_vacuum_back(postgres: Databases) -> None:
    url = await postgres.fresh()
    admin = await asyncpg.connect(url)
    await admin.execute(
        f"ALTER DATABASE \"{urlsplit(url).path[1:]}\" SET default_transaction_isolation = 'serializable'"
    )
    lock = open_lock(url)
    await lock.acquire()
    held = await admin.fetch(
        "SELECT backend_xid, backend_xmin FROM pg_stat_activity WHERE application_name = 'chatorch lock'"
        " AND datname = current_database() AND state = 'idle in transaction'"
    )
    assert [tuple(row) for row in held] == [(None, None)]
    await lock.release()
    await admin.close()


@pytest.mark.soak
async def test_a_lock_file_that_was_removed_is_noticed_and_made_again(tmp_path: Path) -> None:
    lock, file = SqliteLock(tmp_path / "a.db", look_every=0.02), tmp_path / "a.db.lock"
    await lock.acquire()
    for change in [file.unlink, lambda: file.replace(tmp_path / "elsewhere")] * size(2, 10):
        with _Told("lock_file") as told:
            change()
            with pytest.raises(StoreUnavailable, match="was removed"):
                await lock.confirm()
            await told.until("held again")
        await lock.confirm()
        with pytest.raises(StoreLocked, match=str(os.getpid())):
            await open_lock(f"sqlite:///{tmp_path}/a.db").acquire()
    await lock.release()


@pytest.mark.soak
async def test_who_has_to_make_the_lock_file_of_an_open_database_gives_the_earlier_holder_time(tmp_path: Path) -> None:
    (tmp_path / "a.db-shm").touch()
    for _ in range(size(3, 20)):
        (tmp_path / "a.db.lock").touch()
        earlier = SqliteLock(tmp_path / "a.db", look_every=0.02)
        later = SqliteLock(tmp_path / "a.db", settle=0.2)
        await earlier.acquire()
        (tmp_path / "a.db.lock").unlink()
        taking = asyncio.create_task(later.acquire())
        async with asyncio.timeout(5):
            with suppress(StoreLocked):  # the earlier one was quicker, and made it again
                await taking
                await earlier.taken()
                with pytest.raises(StoreUnavailable):
                    await earlier.confirm()
        await earlier.release()
        await later.release()


async def test_releasing_while_the_server_is_away_stops_the_trying(
    crashing_postgres: PostgresServer, own_postgres: Databases
) -> None:
    lock = PostgresLock(_address(await own_postgres.fresh()), **QUICK)
    await lock.acquire()
    told = _Told()

    with told:
        await asyncio.to_thread(crashing_postgres.crash)
        await told.until("lost")
        await lock.release()
        crashing_postgres.start()

    assert not any(task.get_name() == "store-lock" for task in asyncio.all_tasks())


async def _until_acquired(lock: StoreLock) -> None:
    while True:
        with suppress(StoreLocked):
            await lock.acquire()
            return


def _address(url: str) -> PostgresAddress:
    address = parse_url(url)
    assert isinstance(address, PostgresAddress)
    return address


class _Told(logging.Handler):
    """What the lock says in the log, to be waited for."""

    def __init__(self, which: str = "lock_postgres") -> None:
        super().__init__()
        self.messages: list[str] = []
        self._changed = asyncio.Event()
        self._logger = logging.getLogger(f"chatorch.adapters.sql.{which}")

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self._changed.set()

    async def until(self, part: str) -> None:
        async with asyncio.timeout(10):
            while not any(part in message for message in self.messages):
                self._changed.clear()
                await self._changed.wait()

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        return self

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
