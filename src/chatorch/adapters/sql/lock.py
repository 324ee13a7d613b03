"""Alone or not: the lock on a store. Who shares no run log with others holds it alone, and those who do together."""

import asyncio
import fcntl
import logging
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL

from chatorch.adapters.sql.errors import outages_translated, refusal
from chatorch.domain.model.errors import StoreUnavailable

_logger = logging.getLogger(__name__)

_ADVICE = "stop it, or set REDIS_URL on all of them to run several"
_TRY = "SELECT pg_try_advisory_lock($1)"
_TRY_SHARED = "SELECT pg_try_advisory_lock_shared($1)"
_STORE = 0x63686174_73746F72
"""The key of the advisory lock: "chatstor"."""

TIMEOUT = 5.0
RETRY_EVERY = 1.0


class StoreLocked(Exception):
    """Another process holds the store. Its text is one line that says what to do."""


def _refusal(database: str = "", holder: str = "") -> str:
    """For both sides: the other may hold it alone, or together with more that have REDIS_URL set."""
    return f"Another chatorch process{holder} uses the database{database}: {_ADVICE}."


class StoreLock(ABC):
    """Held by one process at a time, or, `shared`, by any number; gone with the process, however it ends."""

    shared: bool

    @abstractmethod
    async def acquire(self) -> None:
        """Takes the lock or raises `StoreLocked` at once; `StoreUnavailable` where the store does not answer."""
        ...

    @abstractmethod
    async def release(self) -> None:
        """Gives it back. A no-op where it is not held."""
        ...


class SqliteLock(StoreLock):
    """``flock(2)`` on a file beside the database, ``<file>.lock``. The file stays; only the lock on it counts."""

    def __init__(self, database: Path, *, shared: bool = False) -> None:
        self.shared = shared
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    async def acquire(self) -> None:
        with outages_translated():
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreLocked(_refusal(f" {self._database}", f" (pid {holder})" if holder else "")) from None
        # Who is alone is named; nobody must find, and signal, the id of a process that is gone.
        os.ftruncate(descriptor, 0)
        if not self.shared:
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    async def release(self) -> None:
        if self._descriptor is not None:
            if not self.shared:
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


class PostgresLock(StoreLock):
    """An advisory lock of the session of one connection of its own.

    The server frees it when that connection ends, so a process that dies gives it back. When the connection is lost
    while the process lives (a restart of the server), it is taken again as soon as the server answers; that is
    logged, and an error where another process was quicker. Runs are safe all the while: their rows decide.
    """

    def __init__(self, url: URL, *, shared: bool = False, retry_every: float = RETRY_EVERY) -> None:
        self.shared = shared
        self._retry_every = retry_every
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._again: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        try:
            await self._take()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnavailable(refusal(error)) from error

    async def release(self) -> None:
        if self._again is not None:
            self._again.cancel()
            with suppress(asyncio.CancelledError):
                await self._again
            self._again = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_termination_listener(self._lost)
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=TIMEOUT)

    async def _take(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=TIMEOUT, command_timeout=TIMEOUT, server_settings={"application_name": "chatorch lock"}
        )
        try:
            free = await connection.fetchval(_TRY_SHARED if self.shared else _TRY, _STORE)
        except BaseException:
            connection.terminate()
            raise
        if not free:
            await connection.close(timeout=TIMEOUT)
            raise StoreLocked(_refusal())
        connection.add_termination_listener(self._lost)
        self._connection = connection

    def _lost(self, _connection: Any) -> None:
        self._connection = None
        _logger.warning("the lock on the store was lost with its connection; taking it again")
        self._again = asyncio.get_running_loop().create_task(self._take_again(), name="store-lock")

    async def _take_again(self) -> None:
        refused = False
        while True:
            try:
                await self._take()
            except StoreLocked:
                if not refused:
                    _logger.error("another process took the lock on the store: two work on it without REDIS_URL")  # noqa: TRY400
                refused = True
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pass
            else:
                _logger.warning("the lock on the store is held again")
                return
            await asyncio.sleep(self._retry_every)
