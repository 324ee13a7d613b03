"""SQLite: the standard driver on threads of our own, one of them for writing."""

import asyncio
import errno
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Engine, NullPool, Pool, PoolProxiedConnection, QueuePool, create_engine, event

from chatorch.adapters.sql import schema
from chatorch.adapters.sql.columns import load_json
from chatorch.adapters.sql.database import Database, T, Work
from chatorch.adapters.sql.errors import outages_translated
from chatorch.adapters.sql.sqlite_place import Place
from chatorch.adapters.sql.sqlite_writer import Writer
from chatorch.domain.model.errors import StoreUnavailable

READERS = 3
BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for another process, such as the command line."""
AT_ONCE = 0.5
"""Seconds that `write_at_once` tries: nearly always it is one of our own commits, over in milliseconds."""
_WAL_RETRY = 0.01


class SqliteDatabase(Database):
    """One file, in WAL mode.

    All writes of this process go through one thread, so they queue and never meet "database is locked"; those that
    wait together are committed together. A transaction is one hop to a thread, not one a statement.
    `synchronous=FULL`: what is committed survives a power cut. `path` names the file; its folder must exist. A new
    file is its owner's only (0600), and so are those that SQLite puts beside it.
    """

    def __init__(self, path: Path, *, readers: int = READERS, busy_timeout: float = BUSY_TIMEOUT) -> None:
        super().__init__()
        self._path = path
        self._busy_timeout = busy_timeout
        place = Place(path)
        self._writer = Writer(_engine(path, "BEGIN IMMEDIATE", busy_timeout, threads=1, place=place))
        # Not through the writer's queue: it would stand there before others, with all its patience.
        self._at_once = Writer(_engine(path, "BEGIN IMMEDIATE", AT_ONCE, threads=1, place=place))
        self._readers = _Lane("sqlite-reader", _engine(path, "BEGIN", busy_timeout, threads=readers), readers)

    async def start(self) -> None:
        await self.alter(schema.upgrade)

    async def look(self) -> None:
        if not self._path.exists():
            raise schema.SchemaMismatch(schema.NO_TABLES)
        await self.read(schema.check)

    async def read(self, work: Work[T]) -> T:
        return await self._readers.run(work)

    async def write(self, work: Work[T], *, owner: str | None = None) -> T:  # noqa: ARG002  # no lock is held for long
        with self.writes.watched():
            return await self._writer.run(work)

    async def write_alone(self, work: Work[T], owner: str) -> T:
        return await self.write(work, owner=owner)

    async def write_once(self, work: Work[T]) -> T:
        return await self.write(work)

    async def write_first(self, work: Work[T]) -> T:
        with self.writes.watched():
            return await self._writer.run(work, first=True)

    async def write_at_once(self, work: Work[T]) -> T:
        return await self._at_once.run(work)

    async def alter(self, work: Work[T]) -> T:
        # Without foreign keys: SQLite changes a table by making it anew, and dropping the old one would cascade.
        engine = _engine(self._path, "BEGIN IMMEDIATE", self._busy_timeout, foreign_keys=False)
        with outages_translated(logged=False):
            await asyncio.to_thread(_create, self._path)
            return await asyncio.to_thread(_transact, engine, work)

    def in_use(self) -> int:
        return self._writer.in_use() + self._readers.in_use()

    def size(self) -> int:
        return 1 + self._readers.threads

    async def close(self) -> None:
        await asyncio.to_thread(self._readers.close)
        await self._at_once.close()
        await self._writer.close()


class _Lane:
    """A few threads with as many connections, and the queue before them."""

    def __init__(self, name: str, engine: Engine, threads: int) -> None:
        self.threads = threads
        self._engine = engine
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._closed = False

    async def run(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailable
        # Cancelling takes back what still waits in the queue; a thread that has begun goes on to the end.
        with outages_translated():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, partial(_transact, self._engine, work))

    def in_use(self) -> int:
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def close(self) -> None:
        self._closed = True
        self._executor.shutdown(wait=True)
        self._engine.dispose()


def _create(path: Path) -> None:
    """Makes the file where there is none. One that is there is not even opened.

    Closing it again would take this process's locks off it, and then the next process that comes and goes would delete
    the write-ahead log under our hands (https://sqlite.org/howtocorrupt.html, 2.2). Raises `OSError` for one that can
    only be read: there, SQLite begins every transaction, and refuses it later.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _transact(engine: Engine, work: Work[T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _engine(
    path: Path,
    begin: str,
    busy_timeout: float,
    *,
    threads: int | None = None,
    foreign_keys: bool = True,
    place: Place | None = None,
) -> Engine:
    """An engine that begins each transaction itself: the driver's own way begins too late, and never IMMEDIATE."""
    pool: dict[str, type[Pool] | int] = {"poolclass": NullPool}
    if threads is not None:
        pool = {"poolclass": QueuePool, "pool_size": threads, "max_overflow": 0}
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        json_deserializer=load_json,
        connect_args={"isolation_level": None, "timeout": busy_timeout, "check_same_thread": False},
        **pool,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        _use_wal(connection, busy_timeout)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    def begin_transaction(dbapi_connection: PoolProxiedConnection) -> None:
        dbapi_connection.execute(begin)
        if place is not None:
            place.require_unmoved()

    # Not as a listener to "begin": an engine with one asks for listeners several times a statement, 10 % of its cost.
    engine.dialect.do_begin = begin_transaction  # type: ignore[method-assign]
    return engine


def _use_wal(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Puts the file into WAL mode, for good. SQLite's own busy time-out does not cover this one step of a new file."""
    give_up_at = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
            time.sleep(_WAL_RETRY)
        else:
            return
