"""Whether the store takes writes: what those of real work ended in, and a trial where the last one was refused."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from chatorch.adapters.sql.causes import meaning_of
from chatorch.domain.model.errors import NotWritable, StoreUnavailable

LEAST_FREE = 16 * 1024 * 1024
"""Bytes; of a small disk, a twentieth of it."""

DISK_FULL, READ_ONLY, DISK_FAILS = "disk_full", "read_only", "disk_fails"

_SQLITE = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_IOERR: DISK_FAILS,
    sqlite3.SQLITE_READONLY: READ_ONLY,
}
_READ_ONLY_SQL_TRANSACTION = "25006"
_POSTGRES = {"53100": DISK_FULL, _READ_ONLY_SQL_TRANSACTION: READ_ONLY, "58030": DISK_FAILS}

_IS_READ_ONLY = select(func.current_setting("transaction_read_only"))
_MANY_ROWS = text("INSERT INTO sweeps SELECT gen_random_uuid()::text FROM generate_series(1, 10000)")
"""Into a table of ours: a temporary one needs a right of its own, and may lie on another disk."""
_A_TABLE = (text("CREATE TABLE chatorch_trial AS SELECT zeroblob(65536)"), text("DROP TABLE chatorch_trial"))


class Writes:
    """`refused` says why the last write was refused that shows that no other can succeed; None while they do."""

    def __init__(self) -> None:
        self.refused: str | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable as error:
            self.refused = why_refused(error.__cause__) or self.refused
            raise


def why_refused(error: BaseException | None) -> str | None:
    driver_error = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(driver_error, sqlite3.Error):
        # Extended codes keep the primary one in their lowest byte.
        return _SQLITE.get(getattr(driver_error, "sqlite_errorcode", 0) & 0xFF)
    return _POSTGRES.get(getattr(driver_error, "sqlstate", None) or "")


def look(connection: Connection) -> None:
    """Raises `NotWritable`; writes nothing.

    On SQLite the transaction has asked already: it begins by taking the lock on a file that can be written.
    """
    if connection.dialect.name == "postgresql":
        if connection.execute(_IS_READ_ONLY).scalar_one() == "on":
            raise NotWritable(READ_ONLY, meaning_of(_READ_ONLY_SQL_TRANSACTION))
        return
    room = os.statvfs(Path(connection.engine.url.database or ".").parent)
    if is_full(room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize):
        raise NotWritable(DISK_FULL, "The disk of the SQLite file is full.")


def is_full(free: int, size: int) -> bool:
    return free < min(LEAST_FREE, size // 20)


def try_out(connection: Connection) -> None:
    """Writes what needs room, and leaves nothing of it."""
    look(connection)
    if connection.dialect.name == "postgresql":
        with connection.begin_nested() as trial:
            connection.execute(_MANY_ROWS)
            trial.rollback()
        return
    for statement in _A_TABLE:
        connection.execute(statement)
