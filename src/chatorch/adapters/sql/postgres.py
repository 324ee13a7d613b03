"""PostgreSQL, through asyncpg."""

import asyncio
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from chatorch.adapters.sql import schema
from chatorch.adapters.sql.columns import load_json
from chatorch.adapters.sql.database import Database, T, Work
from chatorch.adapters.sql.errors import outages_translated
from chatorch.domain.model.errors import StoreUnavailable

POOL_SIZE = 5
POOL_TIMEOUT = 5.0
CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 10.0

_HARDLY_WAIT = text("SET LOCAL lock_timeout = '100ms'")


class PostgresDatabase(Database):
    """A pool of at most `pool_size` connections; who finds none free waits `pool_timeout` seconds at most. One more is
    kept free for heartbeats.

    Connecting may take `CONNECT_TIMEOUT` seconds and a statement `STATEMENT_TIMEOUT`. After a restart of the server
    whatever was in flight is `StoreUnavailable`, and the next transaction connects anew.
    """

    def __init__(
        self,
        url: URL,
        *,
        pool_size: int = POOL_SIZE,
        pool_timeout: float = POOL_TIMEOUT,
        statement_timeout: float = STATEMENT_TIMEOUT,
    ) -> None:
        self._url = url
        self._pool_size = pool_size
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()
        pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": pool_timeout, "pool_use_lifo": True}
        self._engine = _engine(url, statement_timeout, **pool)
        self._writes = self._engine.sync_engine
        # For heartbeats and who watches them: not to be late because all others are taken.
        self._kept_free = _engine(url, statement_timeout, **(pool | {"pool_size": 1}))
        # A read needs no transaction of its own: that saves BEGIN and COMMIT, two of three journeys.
        self._reads = self._writes.execution_options(isolation_level="AUTOCOMMIT")
        for engine in (self._engine, self._kept_free):
            event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)

    async def start(self) -> None:
        await self.read(schema.check)

    async def read(self, work: Work[T]) -> T:
        return await self._run(self._reads, work)

    async def write(self, work: Work[T]) -> T:
        return await self._run(self._writes, work)

    async def write_first(self, work: Work[T]) -> T:
        return await self._run(self._kept_free.sync_engine, work)

    async def write_at_once(self, work: Work[T]) -> T:
        return await self._run(self._kept_free.sync_engine, partial(_without_waiting, work))

    async def alter(self, work: Work[T]) -> T:
        engine = _engine(self._url, None, poolclass=NullPool)
        return await self._run(engine.sync_engine, work)

    def in_use(self) -> int:
        pool = self._writes.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def size(self) -> int:
        return self._pool_size

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._engine.dispose()
        await self._kept_free.dispose()

    async def _run(self, engine: Engine, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailable
        # In a task, and shielded: a driver that is cancelled between two statements loses its connection.
        task = asyncio.create_task(greenlet_spawn(_transact, engine, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with outages_translated():
            return await asyncio.shield(task)


def _transact(engine: Engine, work: Work[T]) -> T:
    with engine.connect() as connection:
        transaction = connection.begin()
        try:
            result = work(connection)
            transaction.commit()
        except OSError:
            # A time-out among them: the server may still be busy with the statement, so nobody gets this one again.
            connection.invalidate()
            raise
        return result


def _without_waiting(work: Work[T], connection: Connection) -> T:
    connection.execute(_HARDLY_WAIT)
    return work(connection)


def _engine(url: URL, statement_timeout: float | None, **pool: Any) -> AsyncEngine:
    return create_async_engine(
        url,
        hide_parameters=True,
        json_deserializer=load_json,
        connect_args={
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": statement_timeout,
            "server_settings": {"application_name": "chatorch"},
        },
        **pool,
    )


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """A pre-ping without the journey: asyncpg knows at once when the server has closed a connection."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
