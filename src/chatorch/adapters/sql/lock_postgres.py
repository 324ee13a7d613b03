"""The lock on a PostgreSQL database."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import asyncpg

from chatorch.adapters.sql.causes import cause_of
from chatorch.adapters.sql.connecting import PostgresAddress
from chatorch.adapters.sql.lock import LOST, StoreLock, StoreLocked, refusal
from chatorch.domain.model.errors import StoreUnavailable

_logger = logging.getLogger(__name__)

_STORE = 0x63686174_73746F72
"""The key of the advisory lock: "chatstor"."""
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; "
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; "
    "SET LOCAL idle_in_transaction_session_timeout = {lease_ms}"
)
_NO_LIMIT = (
    "SELECT set_config(name, '0', true) FROM unnest($1::text[]) AS name WHERE current_setting(name, true) <> '0'"
)
_LIMITS = ["transaction_timeout"]
"""Of a transaction as a whole; from PostgreSQL 17 on."""
_TRY = "SELECT pg_try_advisory_xact_lock($1)"
_TRY_SHARED = "SELECT pg_try_advisory_xact_lock_shared($1)"
_WHO = "SELECT pg_backend_pid(), now()"
_LOOK = "SELECT 1 / (pg_backend_pid() = {} AND now() = '{}')::int"
"""Fails in another transaction, as `now()` is when one began. The one that began there still has the lock.

Sent as a simple query: the other protocol leaves a portal open in a transaction, whose snapshot holds vacuum back.
"""
_HOLDERS = (
    "SELECT pid, xact_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32) | objid::bigint = $1"
)

TIMEOUT = 5.0
RETRY_EVERY = 1.0
PING_EVERY = 0.5
"""More often than any time-out for what is idle that a server or a pooler can have: theirs are in whole seconds."""
PING_TIMEOUT = 3.0
LEASE = 15.0
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresLock(StoreLock):
    """An advisory lock of a transaction that stays open, on one connection of its own.

    Of a transaction, because a pooler that hands out its server connections by the transaction would give the session's
    lock to somebody else. It has no snapshot and no id, so it holds no vacuum back.

    It is a lease as well: the server ends the session when it hears nothing for `lease` seconds, and this process
    believes that it has the lock only while a ping that was sent less than `ping_timeout` ago was, or can still be,
    answered. So whoever vanished without a word, on whichever side, is known to be gone, here first. Runs are safe all
    the while: their rows decide.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        shared: bool = False,
        retry_every: float = RETRY_EVERY,
        ping_every: float = PING_EVERY,
        ping_timeout: float = PING_TIMEOUT,
        lease: float = LEASE,
    ) -> None:
        super().__init__(shared=shared)
        self._address = address
        self._retry_every = retry_every
        self._ping_every = ping_every
        self._ping_timeout = ping_timeout
        self._begin = _BEGIN.format(lease_ms=round(lease * 1000))
        self._connection: Any = None
        self._transaction: tuple[Any, ...] = ()
        self._before: set[tuple[Any, ...]] = set()
        self._pinging = asyncio.Lock()
        self._broken = asyncio.Event()

    async def acquire(self) -> None:
        try:
            await self._take()
        except _FAILURES as error:
            raise StoreUnavailable(cause_of(error)) from error
        self._look_after()

    async def confirm(self) -> None:
        # Shielded: a statement that is cancelled ends the transaction, and the lock with it.
        if not await asyncio.shield(self._holds()):
            raise StoreUnavailable(f"{LOST[0].upper()}{LOST[1:]}.")

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_termination_listener(self._ended)
            with suppress(*_FAILURES):
                await connection.close(timeout=TIMEOUT)

    async def _take(self) -> None:
        connection = await self._address.connect(" lock", command_timeout=TIMEOUT, statement_cache_size=0)
        try:
            await connection.execute(self._begin)
            await connection.fetch(_NO_LIMIT, _LIMITS)
            await self._lock(connection)
            self._transaction = tuple(await connection.fetchrow(_WHO))
            await self._look(connection)
        except BaseException:
            connection.terminate()
            raise
        self._broken.clear()
        connection.add_termination_listener(self._ended)
        self._connection = connection
        self._before.add(self._transaction)

    async def _lock(self, connection: Any) -> None:
        if await connection.fetchval(_TRY_SHARED if self.shared else _TRY, _STORE):
            return
        holders = {tuple(row) for row in await connection.fetch(_HOLDERS, _STORE)}
        raise _Held(refusal(), by_ourselves=holders <= self._before)

    def _ended(self, _connection: Any) -> None:
        self._broken.set()

    async def _holds(self) -> bool:
        """Asks now, one at a time."""
        async with self._pinging:
            connection = self._connection
            if connection is None or connection.is_closed():
                return False
            try:
                async with asyncio.timeout(self._ping_timeout):
                    await self._look(connection)
            except _FAILURES:
                connection.terminate()
                return False
            return True

    async def _look(self, connection: Any) -> None:
        pid, began_at = self._transaction
        await connection.execute(_LOOK.format(pid, began_at.isoformat()))

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ping_every):
                    await self._broken.wait()
            if await self._holds():
                continue
            connection, self._connection = self._connection, None
            connection.remove_termination_listener(self._ended)
            connection.terminate()
            _logger.warning("the lock on the store was lost with its connection; taking it again")
            await self._take_again()

    async def _take_again(self) -> None:
        refused = False
        while True:
            try:
                await self._take()
            except _Held as held:
                if not refused and not held.by_ourselves:
                    _logger.error("another process took the lock on the store: two work on it without REDIS_URL")  # noqa: TRY400
                    refused = True
                    if not self.shared:
                        self._taken.set()
            except _FAILURES:
                pass
            else:
                _logger.warning("the lock on the store is held again")
                return
            await asyncio.sleep(self._retry_every)


class _Held(StoreLocked):
    """`by_ourselves`: by the session that was lost, whose end the server has not noticed yet."""

    def __init__(self, text: str, *, by_ourselves: bool) -> None:
        super().__init__(text)
        self.by_ourselves = by_ourselves
