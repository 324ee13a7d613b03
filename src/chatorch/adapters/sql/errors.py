"""What the two drivers raise when the database does not answer, told apart from our own mistakes."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatorch.adapters.sql.asyncpg_errors import driver_errors, misuse
from chatorch.adapters.sql.causes import cause_of
from chatorch.domain.model.errors import StoreUnavailable

_logger = logging.getLogger(__name__)
_logger.addHandler(logging.NullHandler())  # a command without a log says it once, as its own last line

SAID_AGAIN_S = 10.0

_SQLITE_OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Primary result codes (https://sqlite.org/rescode.html); `SQLITE_ERROR` is a mistake in a statement."""

_POSTGRES_OUTAGES = (
    "08",
    "53",
    "57",
    "58",
    "40001",
    "40P01",
    "55P03",
    "25006",
    "25P03",
    "25P04",
    "28",
    "3D",
    "3F",
    "42501",
    "42P01",
    "XX001",
    "XX002",
)
"""SQLSTATE classes and codes (PostgreSQL, appendix A): connection, resources, operator intervention, system errors;
serialization and deadlock; lock not available; a server that became read-only; a transaction that was idle or took too
long; refused log-in; no such database, schema or, while a backup is restored, table; a right that is missing; damaged
data."""


_said_at: dict[str, float] = {}
"""When each cause was last told in this process's log."""


@contextmanager
def outages_translated(*, logged: bool = True) -> Iterator[None]:
    """Raises `StoreUnavailable` for an outage. Mistakes of ours and broken constraints come out as they are.

    Not `logged` is what happens at the start only, which says itself why it fails.
    """
    try:
        yield
    except _raised_by_a_store() as error:
        if not is_outage(error):
            raise
        cause = _cause(error)
        if logged:
            say(cause)
        raise StoreUnavailable(cause) from error


def _raised_by_a_store() -> tuple[type[Exception], ...]:
    return (DBAPIError, sqlite3.Error, PoolTimeout, OSError, *driver_errors())


def say(cause: str | None) -> None:
    """Puts the cause of an outage into the log: at once, and while it goes on every 10 s."""
    now, text = time.monotonic(), cause or StoreUnavailable.default_detail
    if now - _said_at.get(text, -SAID_AGAIN_S) >= SAID_AGAIN_S:
        _said_at[text] = now
        _logger.warning("the store does not answer: %s", text)


def _cause(error: Exception) -> str | None:
    if isinstance(error, PoolTimeout):
        return "No connection to the database became free in time; see CHATORCH_DB_POOL_SIZE."
    return cause_of(error.driver_exception if isinstance(error, DBAPIError) else error)


def is_outage(error: BaseException) -> bool:
    """Whether trying again later may help. `OSError` is the network, and includes every time-out of asyncio."""
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver_error, sqlite3.Error):
        # Extended codes keep the primary one in their lowest byte.
        code: int | None = getattr(driver_error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_OUTAGES
    if isinstance(error, PoolTimeout | OSError) or getattr(error, "connection_invalidated", False):
        return True
    state: str | None = getattr(driver_error, "sqlstate", None)
    if state is not None:
        return state.startswith(_POSTGRES_OUTAGES)
    if not isinstance(error, DBAPIError):
        return isinstance(error, misuse()) and not isinstance(error, ValueError)
    # asyncpg's InterfaceError is also the base of what it says of an unfit argument, and that is a ValueError too.
    return isinstance(error, InterfaceError) and not isinstance(error.driver_exception, ValueError)


def breaks(error: IntegrityError, constraint: str, column: str) -> bool:
    """Whether it was this constraint: PostgreSQL names it, SQLite names the column, as ``table.column``."""
    driver_error = error.driver_exception
    return getattr(driver_error, "constraint_name", None) == constraint or str(error.orig).endswith(f": {column}")
