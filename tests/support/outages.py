"""A store that can be read and not written, or takes no end of a run, made so by another connection, as an operator or
a full disk would."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import asyncpg


def outage(kind: str, url: str) -> AbstractAsyncContextManager[None]:
    """``read-only``, ``table lock`` (PostgreSQL) or ``busy file`` (SQLite), until the block ends."""
    if kind == "busy file":
        return _busy(url.removeprefix("sqlite:///"))
    return _read_only(url) if kind == "read-only" else _locked(url)


@asynccontextmanager
async def no_ends(url: str) -> AsyncIterator[None]:
    """It takes all but that a run has ended, until the block ends: as where only rows that an end changes are held."""
    begin, end = _REFUSAL_OF_SQLITE if url.startswith("sqlite") else _REFUSAL_OF_POSTGRESQL
    await _execute(url, *begin)
    try:
        yield
    finally:
        await _execute(url, *end)


_REFUSAL_OF_SQLITE = (
    (
        """
        CREATE TRIGGER no_ends BEFORE UPDATE OF finished_at ON runs WHEN NEW.finished_at IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'no ends'); END
        """,
    ),
    ("DROP TRIGGER no_ends",),
)
_REFUSAL_OF_POSTGRESQL = (
    (
        "CREATE FUNCTION no_ends() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no ends$$; END'",
        """
        CREATE TRIGGER no_ends BEFORE UPDATE OF finished_at ON runs FOR EACH ROW
        WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION no_ends()
        """,
    ),
    ("DROP TRIGGER no_ends ON runs", "DROP FUNCTION no_ends"),
)


async def _execute(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        await asyncio.to_thread(_execute_in_file, path, statements)
        return
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _execute_in_file(path: str, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        for statement in statements:
            connection.execute(statement)


@asynccontextmanager
async def _read_only(url: str) -> AsyncIterator[None]:
    """The whole server, sessions that are open included."""
    connection = await asyncpg.connect(url, server_settings={"default_transaction_read_only": "off"})
    try:
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator[None]:
    """What CREATE INDEX takes: reads go on."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE runs IN SHARE MODE")
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def _busy(path: str) -> AsyncIterator[None]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
