"""What `DATABASE_URL` may say, and the database that it names.

What is PostgreSQL's is imported for a URL that names one: it needs an extra, and is ten megabytes of a process.
"""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from chatorch.adapters.sql.database import HEARTBEAT_TIMEOUT, POOL_SIZE, POOL_TIMEOUT, Database
from chatorch.adapters.sql.lock import StoreLock
from chatorch.adapters.sql.lock_file import SqliteLock
from chatorch.adapters.sql.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from chatorch.adapters.sql.connecting import PostgresAddress

_POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")
_FORMS = "sqlite:///./chat.db, sqlite:////an/absolute/path.db or postgresql://user:password@host/name"


def open_database(
    url: str,
    *,
    pool_size: int = POOL_SIZE,
    pool_timeout: float = POOL_TIMEOUT,
    heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
) -> Database:
    """The database of a URL; connects when first asked. The measures are for PostgreSQL only.

    Takes ``sqlite:///relative``, ``sqlite:////absolute``, and ``postgresql://``, ``postgres://`` or
    ``postgresql+asyncpg://`` as libpq takes it. Raises `ValueError` with one line that names the setting, and the
    parameter, and repeats no value.
    """
    parsed = parse_url(url)
    if isinstance(parsed, Path):
        return SqliteDatabase(parsed)
    from chatorch.adapters.sql.postgres import PostgresDatabase  # noqa: PLC0415  # an extra, and large

    return PostgresDatabase(parsed, pool_size=pool_size, pool_timeout=pool_timeout, heartbeat_timeout=heartbeat_timeout)


def open_lock(url: str, *, shared: bool = False) -> StoreLock:
    """The lock of the store that a URL names, not yet taken. Raises like `open_database`."""
    parsed = parse_url(url)
    if isinstance(parsed, Path):
        return SqliteLock(parsed, shared=shared)
    from chatorch.adapters.sql.lock_postgres import PostgresLock  # noqa: PLC0415  # an extra

    return PostgresLock(parsed, shared=shared)


def parse_url(url: str) -> "Path | PostgresAddress":
    """The absolute path of an SQLite file, or the address of a PostgreSQL database."""
    if url.partition("://")[0] in _POSTGRES:
        from chatorch.adapters.sql.connecting import read_address  # noqa: PLC0415  # an extra

        return read_address(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"DATABASE_URL is not a database URL; write {_FORMS}") from None
    if parsed.drivername == "sqlite":
        return _sqlite_path(parsed)
    raise ValueError(f"DATABASE_URL names {parsed.drivername!r}, which is not supported; write {_FORMS}")


def _sqlite_path(url: URL) -> Path:
    if url.host or url.username or url.port:
        raise ValueError("DATABASE_URL: an SQLite path begins after three slashes, as in sqlite:///./chat.db")
    if url.query:
        raise ValueError(f"DATABASE_URL: {next(iter(url.query))!r} is not a parameter for SQLite here")
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise ValueError("DATABASE_URL: SQLite needs a file, because an in-memory database keeps nothing")
    path = Path(url.database)
    try:
        path = path.resolve()
        os.stat(f"{path.parent}/.")  # noqa: PTH116  # a path of pathlib's has no dot at its end
        kind = path.stat().st_mode if path.exists() else stat.S_IFREG
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"DATABASE_URL: the folder {path.parent} does not exist") from None
    except (OSError, RuntimeError) as error:  # links that lead in a circle are a RuntimeError up to Python 3.12
        why = getattr(error, "strerror", None) or "its links lead in a circle"
        raise ValueError(f"DATABASE_URL: its file cannot be looked at ({why})") from None
    if not stat.S_ISREG(kind):
        raise ValueError(f"DATABASE_URL: {path} is a folder or a device, not a file")
    return path
