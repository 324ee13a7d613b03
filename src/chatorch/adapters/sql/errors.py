"""What the two drivers raise when the database does not answer, told apart from our own mistakes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chatorch.domain.model.errors import StoreUnavailable

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
    }
)
"""Primary result codes (https://sqlite.org/rescode.html); `SQLITE_ERROR` is a mistake in a statement."""

_POSTGRES_OUTAGES = ("08", "53", "57", "58", "40001", "40P01", "55P03", "25006", "28", "3D")
"""SQLSTATE classes and codes (PostgreSQL, appendix A): connection, resources, operator intervention, system errors;
serialization and deadlock; lock not available; a server that became read-only; refused log-in; no such database."""


@contextmanager
def outages_translated() -> Iterator[None]:
    """Raises `StoreUnavailable` for an outage. Mistakes of ours and broken constraints come out as they are."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, PoolTimeout, OSError) as error:
        if is_outage(error):
            raise StoreUnavailable(refusal(getattr(error, "orig", error))) from error
        raise


def refusal(driver_error: object) -> str | None:
    """What an operator can mend by the setting, in words; None for what passes, or is not PostgreSQL's."""
    state: str = getattr(driver_error, "sqlstate", None) or ""
    if state.startswith("28"):
        return "PostgreSQL refuses the user or the password; see DATABASE_URL."
    if state.startswith("3D"):
        return "PostgreSQL has no database of this name; see DATABASE_URL."
    return None


def is_outage(error: BaseException) -> bool:
    """Whether trying again later may help. `OSError` is the network, and includes every time-out of asyncio."""
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver_error, sqlite3.Error):
        # Extended codes keep the primary one in their lowest byte.
        code: int | None = getattr(driver_error, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_OUTAGES
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout | OSError)
    if error.connection_invalidated:
        return True
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state.startswith(_POSTGRES_OUTAGES)
    # asyncpg's InterfaceError is also the base of what it says of an unfit argument, and that is a ValueError too.
    return isinstance(error, InterfaceError) and not isinstance(error.driver_exception, ValueError)


def breaks(error: IntegrityError, constraint: str, column: str) -> bool:
    """Whether it was this constraint: PostgreSQL names it, SQLite names the column, as ``table.column``."""
    driver_error = error.driver_exception
    return getattr(driver_error, "constraint_name", None) == constraint or str(error.orig).endswith(f": {column}")
