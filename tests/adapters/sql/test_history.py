"""What it costs to read a history."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from chatorch.adapters.sql import Database, open_database
from chatorch.adapters.sql.history import read_history
from chatorch.adapters.sql.rows import message_values, thread_values
from chatorch.adapters.sql.tables import messages, threads
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from tests.support.stores import ANN, NOW

THREAD = ThreadId("thr_t")


def write_thread(connection: Connection, count: int) -> None:
    """A system message, then the user and the assistant in turn, ten characters each."""
    connection.execute(insert(threads), thread_values(ANN, THREAD, "A thread", NOW))
    rows = [
        message_values(
            Message(
                id=MessageId(f"msg_{position}"),
                thread_id=THREAD,
                position=position,
                role=Role.SYSTEM if position == 1 else Role.ASSISTANT if position % 2 else Role.USER,
                content=f"{position:010}",
                status=MessageStatus.COMPLETE,
                created_at=NOW,
            )
        )
        for position in range(1, count + 1)
    ]
    connection.execute(insert(messages), rows)


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    told: list[tuple[str, Any]] = []

    def tell(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        told.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", tell)
    yield told
    event.remove(connection, "before_cursor_execute", tell)


@pytest.mark.parametrize(("chars", "read", "queries"), [(1000, 20, 1), (200, 20, 1), (199, 20, 2), (50, 6, 2)])
async def test_one_more_query_only_where_something_is_left_out(
    database: Database, chars: int, read: int, queries: int
) -> None:
    await database.write(lambda connection: write_thread(connection, 20))

    def work(connection: Connection) -> tuple[int, int]:
        with statements(connection) as told:
            return len(read_history(connection, THREAD, 20, chars)), len(told)

    assert await database.read(work) == (read, queries)


async def test_neither_query_goes_through_the_thread(sqlite_path: Path) -> None:
    database = open_database(f"sqlite:///{sqlite_path}")
    await database.write(lambda connection: write_thread(connection, 300))

    def work(connection: Connection) -> list[str]:
        with statements(connection) as told:
            read_history(connection, THREAD, 300, 20)
        return [
            " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
            for statement, parameters in told
        ]

    plans = await database.read(work)
    assert len(plans) == 2
    assert all("INDEX" in plan and "SCAN messages" not in plan and "B-TREE" not in plan for plan in plans), plans
    await database.close()
