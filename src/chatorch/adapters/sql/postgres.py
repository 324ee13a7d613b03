"""PostgreSQL, through asyncpg."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.util import greenlet_spawn

from chatorch.adapters.sql import schema
from chatorch.adapters.sql.access import owner_lock
from chatorch.adapters.sql.columns import load_json
from chatorch.adapters.sql.connecting import PostgresAddress
from chatorch.adapters.sql.database import HEARTBEAT_TIMEOUT, POOL_SIZE, POOL_TIMEOUT, Database, T, Work
from chatorch.adapters.sql.errors import outages_translated
from chatorch.adapters.sql.fair_shares import Turns
from chatorch.adapters.sql.pooler import beginning, goes_through_a_pooler, pooled_connection
from chatorch.adapters.sql.postgres_transactions import locked, transact, transact_from, without_waiting
from chatorch.domain.model.errors import StoreUnavailable

STATEMENT_TIMEOUT = 10.0
LOCK_TIMEOUT = 3.0
IDLE_TIMEOUT = 3.0
"""Seconds after which the server ends a transaction of whose client it hears nothing, with all that it has locked."""


class PostgresDatabase(Database):
    """A pool of at most `pool_size` connections; who finds none free waits `pool_timeout` seconds at most. One more is
    kept free for heartbeats.

    Connecting may take as long as the address says, a statement `STATEMENT_TIMEOUT` seconds, and waiting for a lock
    `lock_timeout` of them; a heartbeat's statement has `heartbeat_timeout`. One owner's writes have less than half of
    the pool, so that one row that is locked for long starves nobody else. After a restart of the server whatever was
    in flight is `StoreUnavailable`, and the next transaction connects anew.

    Every transaction is `READ COMMITTED`, whatever the server's default is: who has waited for a lock must see what was
    written meanwhile.

    Through a pooler such as PgBouncer nothing is prepared and nothing set beyond a transaction. The first connection
    finds out whether one is there.
    """

    chains = True

    def __init__(
        self,
        address: PostgresAddress,
        *,
        pool_size: int = POOL_SIZE,
        pool_timeout: float = POOL_TIMEOUT,
        statement_timeout: float = STATEMENT_TIMEOUT,
        lock_timeout: float = LOCK_TIMEOUT,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        super().__init__()
        self._address = address
        self._pool_size = pool_size
        self._pool_timeout = pool_timeout
        self._statement_timeout = statement_timeout
        self._lock_timeout = lock_timeout
        self._heartbeat_timeout = min(heartbeat_timeout, statement_timeout)
        self._idle_timeout = idle_timeout
        self._turns = Turns(max(1, pool_size // 2 - 1), pool_timeout)
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()
        self._engines: _Engines | None = None
        self._finding_out = asyncio.Lock()

    async def start(self) -> None:
        await self.look()
        await self.ping()

    async def look(self) -> None:
        await self._run(partial(transact, (self._engines or await self._open()).reads, schema.check), logged=False)

    async def read(self, work: Work[T]) -> T:
        return await self._run(partial(transact, (self._engines or await self._open()).reads, work))

    async def write(self, work: Work[T], *, owner: str | None = None) -> T:
        engines = self._engines or await self._open()
        transaction = partial(transact, engines.writes, work)
        with self.writes.watched():
            if owner is None:
                return await self._run(transaction)
            await self._turns.take(owner)
            return await self._run(transaction, lambda: self._turns.give_back(owner))

    async def write_alone(self, work: Work[T], owner: str) -> T:
        engines = self._engines or await self._open()
        lock = owner_lock(owner)
        if lock is None:
            return await self.write(partial(locked, owner, work), owner=owner)
        transaction = partial(transact_from, engines.bare, f"{engines.begin}; {lock}", work)
        with self.writes.watched():
            await self._turns.take(owner)
            return await self._run(transaction, lambda: self._turns.give_back(owner))

    async def write_once(self, work: Work[T]) -> T:
        with self.writes.watched():
            return await self.read(work)

    async def write_first(self, work: Work[T]) -> T:
        engines = self._engines or await self._open()
        with self.writes.watched():
            return await self._run(partial(transact, engines.kept_free, work))

    async def write_at_once(self, work: Work[T]) -> T:
        return await self.write_first(partial(without_waiting, work))

    async def alter(self, work: Work[T]) -> T:
        # A connection of its own, in a transaction that takes as long as it takes, through whatever is in between.
        engine = _engine(_connector(self._address, statement_cache_size=0), pooled=True, poolclass=NullPool)
        return await self._run(partial(transact, engine, work))

    def in_use(self) -> int:
        pool = self._engines.writes.pool if self._engines is not None else None
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def size(self) -> int:
        return self._pool_size

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._engines is not None:
            for engine in (self._engines.writes, self._engines.kept_free):
                await greenlet_spawn(engine.dispose)

    async def _run(
        self, transaction: Callable[[], T], then: Callable[[], None] | None = None, *, logged: bool = True
    ) -> T:
        """`then` is called when the transaction is over, however, and whether or not the caller still waits."""
        if self._closed:
            if then is not None:
                then()
            raise StoreUnavailable
        # In a task, and shielded: a driver that is cancelled between two statements loses its connection.
        task = asyncio.create_task(greenlet_spawn(transaction))
        self._running.add(task)
        task.add_done_callback(self._over)
        if then is not None:
            task.add_done_callback(lambda _: then())
        with outages_translated(logged=logged):
            return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits still gets it; where nobody does, it is nothing to tell

    async def _open(self) -> "_Engines":
        async with self._finding_out:
            if self._closed:
                raise StoreUnavailable
            if self._engines is None:
                with outages_translated(logged=False):
                    pooled = await goes_through_a_pooler(self._address, self._statement_timeout)
                self._engines = self._make(pooled)
        return self._engines

    def _make(self, pooled: bool) -> "_Engines":
        limits = {
            "lock_timeout": round(self._lock_timeout * 1000),
            "idle_in_transaction_session_timeout": round(self._idle_timeout * 1000),
        }
        measures: dict[str, Any] = {}
        if pooled:
            measures = {"statement_cache_size": 0, "connection_class": pooled_connection(limits)}
        first = None if pooled else _for_good(limits)
        pool = {"max_overflow": 0, "pool_timeout": self._pool_timeout, "pool_use_lifo": True}

        def pool_of(size: int, command_timeout: float) -> Engine:
            connect = _connector(self._address, first, command_timeout=command_timeout, **measures)
            return _engine(connect, pooled=pooled, pool_size=size, **pool)

        writes = pool_of(self._pool_size, self._statement_timeout)
        # For heartbeats and who watches them: not to be late because all others are taken.
        kept_free = pool_of(1, self._heartbeat_timeout)
        for engine in (writes, kept_free):
            event.listen(engine.pool, "checkout", _refuse_closed)
        # A read needs no transaction of its own: that saves BEGIN and COMMIT, two of three journeys. But only a
        # transaction makes a pooler stay with one server connection from preparing to executing.
        bare = writes.execution_options(isolation_level="AUTOCOMMIT")
        begin = beginning(limits) if pooled else "BEGIN"
        return _Engines(writes, bare, writes if pooled else bare, kept_free, begin)


@dataclass(frozen=True, slots=True)
class _Engines:
    writes: Engine
    bare: Engine
    """As `writes`, but begins and ends no transactions."""
    reads: Engine
    kept_free: Engine
    begin: str


def _for_good(limits: Mapping[str, int]) -> str:
    """Sets them for all transactions of a connection."""
    settings = {**limits, "default_transaction_isolation": "'read committed'"}
    return "; ".join(f"SET {name} = {value}" for name, value in settings.items())


def _connector(address: PostgresAddress, first: str | None = None, **options: Any) -> Callable[[], Awaitable[Any]]:
    """Makes a connection on which `first` was executed."""

    async def connect() -> Any:
        connection = await address.connect(**options)
        if first is not None:
            try:
                await connection.execute(first)
            except BaseException:
                connection.terminate()
                raise
        return connection

    return connect


def _engine(connect: Callable[[], Awaitable[Any]], *, pooled: bool, **pool: Any) -> Engine:
    """For use in `greenlet_spawn` only: `sqlalchemy.ext.asyncio` does no more, and loads the whole ORM.

    `pooled`: every statement is prepared anew, without a name, so that nothing of it stays behind.
    """
    unprepared = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str} if pooled else {}
    return create_engine(
        "postgresql+asyncpg://",
        hide_parameters=True,
        json_deserializer=load_json,
        connect_args={"async_creator_fn": connect, **unprepared},
        **pool,
    )


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """A pre-ping without the journey: asyncpg knows at once when the server has closed a connection."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
