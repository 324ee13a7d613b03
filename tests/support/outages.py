"""A store that can be read and not written, made so by another connection, as an operator or a full disk would."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg


def outage(kind: str, url: str) -> AbstractAsyncContextManager[None]:
    """``read-only``, ``table lock`` (PostgreSQL) or ``busy file`` (SQLite), until the block ends."""
    if kind == "busy file":
        return _busy(url.removeprefix("sqlite:///"))
    return _read_only(url) if kind == "read-only" else _locked(url)


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
