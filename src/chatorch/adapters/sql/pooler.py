"""PgBouncer and its like: each transaction may run on another connection to the server."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from chatorch.adapters.sql.connecting import PostgresAddress


async def goes_through_a_pooler(address: PostgresAddress, timeout: float) -> bool:
    """Whether something between here and the server makes its own sessions of ours.

    A pooler cannot pass on the key for cancelling (https://www.postgresql.org/docs/current/protocol-flow.html, 54.2.8)
    of any one server connection, so it makes one up: the process id in it is not that of who answers.
    Raises what connecting raises.
    """
    if address.pooled is not None:
        return address.pooled
    connection = await address.connect(command_timeout=timeout, statement_cache_size=0)
    try:
        async with connection.transaction():
            answering: int = await connection.fetchval("SELECT pg_backend_pid()")
        named: int = connection.get_server_pid()
        return answering != named
    finally:
        await connection.close(timeout=timeout)


def beginning(limits: Mapping[str, int]) -> str:
    """Statements that begin a transaction and set what is to hold in it."""
    settings = (f"SET LOCAL {name} = {value}" for name, value in limits.items())
    return "; ".join(("BEGIN ISOLATION LEVEL READ COMMITTED", *settings))


def pooled_connection(limits: Mapping[str, int]) -> type[Any]:
    """The kind of connection for a pooler. What it sets ends with the transaction, and costs no journey of its own."""
    begin = beginning(limits)

    class PooledConnection(asyncpg.Connection):  # type: ignore[misc]
        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            return await super().execute(begin if query == "BEGIN;" else query, *args, **options)

    return PooledConnection
