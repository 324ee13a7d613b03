"""The store ports over each adapter, under one shape, so that a contract is written once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy import Connection, Table, delete, func, select

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.sql import (
    Database,
    SqlCallStore,
    SqlExecutionStore,
    SqlGuestThreadStore,
    SqlRunLives,
    SqlRunStore,
    SqlThreadItemStore,
    SqlThreadNoteStore,
    SqlThreadStore,
    SqlUnstoredThreadStore,
    SqlUserStore,
)
from chatorch.adapters.sql.chatkit_hosted import SqlChatKitSessionStore
from chatorch.adapters.sql.rows import to_interaction
from chatorch.adapters.sql.tables import answer_tails, interactions, message_parts, metadata
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, NewMessage, Role, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Interaction, Outcome, RunStatus
from chatorch.ports.calls import CallStore
from chatorch.ports.chatkit_hosted.session_store import ChatKitSessionStore
from chatorch.ports.execution_store import ExecutionStore, RunEnd
from chatorch.ports.guests import GuestThreadStore
from chatorch.ports.run_lives import RunLives
from chatorch.ports.runs import IdempotencyKey, NewRun, OpenTurn, RunStore
from chatorch.ports.thread_items import ThreadItemStore, ThreadNoteStore
from chatorch.ports.threads import ThreadStore
from chatorch.ports.unstored import UnstoredThreadStore
from chatorch.ports.users import UserStore
from tests.support.sessions import sessions_in

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ANN = UserId("usr_ann")
BOB = UserId("usr_bob")
EMPTYING = "; ".join(str(delete(table)) for table in reversed(metadata.sorted_tables))


@dataclass(frozen=True)
class Stores:
    """All stores over the same data, and what was recorded of ended runs, in any order.

    `leftovers` counts what is kept beside messages for runs that live, `part_rows` what is kept of parts.
    """

    users: UserStore
    threads: ThreadStore
    thread_items: ThreadItemStore
    thread_notes: ThreadNoteStore
    runs: RunStore
    calls: CallStore
    execution_store: ExecutionStore
    sessions: ChatKitSessionStore
    guest_threads: GuestThreadStore
    unstored_threads: UnstoredThreadStore
    run_lives: RunLives
    interactions: Callable[[], Awaitable[list[Interaction]]]
    leftovers: Callable[[], Awaitable[int]]
    part_rows: Callable[[], Awaitable[int]]


def memory_stores() -> Stores:
    store = MemoryStore()

    async def read_interactions() -> list[Interaction]:
        return store.interactions()

    async def nothing() -> int:
        return 0

    async def count_parts() -> int:
        held = (record.message for thread in store._state.threads.values() for record in thread.messages)
        return sum(max(len(message.parts) - 1, 0) for message in held)

    return Stores(
        store.users,
        store.threads,
        store.thread_items,
        store.thread_notes,
        store.runs,
        store.calls,
        store.execution_store,
        sessions_in(store),
        store.guest_threads,
        store.unstored_threads,
        store.run_lives,
        read_interactions,
        nothing,
        count_parts,
    )


def sql_stores(database: Database) -> Stores:
    async def read_interactions() -> list[Interaction]:
        return await database.read(_interactions)

    async def rows_of(table: Table) -> int:
        count = select(func.count()).select_from(table)
        return await database.read(lambda connection: connection.execute(count).scalar_one())

    return Stores(
        SqlUserStore(database),
        SqlThreadStore(database),
        SqlThreadItemStore(database),
        SqlThreadNoteStore(database),
        SqlRunStore(database),
        SqlCallStore(database),
        SqlExecutionStore(database),
        SqlChatKitSessionStore(database),
        SqlGuestThreadStore(database),
        SqlUnstoredThreadStore(database),
        SqlRunLives(database),
        read_interactions,
        partial(rows_of, answer_tails),
        partial(rows_of, message_parts),
    )


def _interactions(connection: Connection) -> list[Interaction]:
    return [to_interaction(row) for row in connection.execute(select(interactions))]


async def empty(url: str) -> None:
    """Removes every row of a database on PostgreSQL, in one journey."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(EMPTYING)
    finally:
        await connection.close()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def new_run(
    name: str,
    *,
    owner: UserId = ANN,
    now: datetime = NOW,
    history_chars: int = 100_000,
    key: IdempotencyKey | None = None,
    guest_label: str | None = None,
) -> NewRun:
    """A run called ``run_<name>`` that writes the message ``msg_<name>_answer``."""
    return NewRun(
        run_id=RunId(f"run_{name}"),
        message_id=MessageId(f"msg_{name}_answer"),
        owner_id=owner,
        model="a-model",
        now=now,
        history_chars=history_chars,
        idempotency=key,
        guest_label=guest_label,
    )


def turn(name: str, thread: str, *contents: str, opens: bool = False) -> OpenTurn:
    """User messages ``msg_<name>_0`` and so on, by default one that says hello, in the thread ``thr_<thread>``."""
    said = contents or ("hello",)
    return OpenTurn(
        thread_id=ThreadId(f"thr_{thread}"),
        title=f"Thread {thread}" if opens else None,
        messages=tuple((MessageId(f"msg_{name}_{i}"), NewMessage(Role.USER, text)) for i, text in enumerate(said)),
    )


def ending(
    name: str,
    said: str | Content = "an answer",
    *,
    status: RunStatus = RunStatus.COMPLETED,
    epoch: int = 1,
    first_piece_ms: int | None = None,
    duration_ms: int | None = None,
    refused: bool = False,
    **outcome: Any,
) -> RunEnd:
    """`outcome` is what else `Outcome` takes."""
    return RunEnd(
        run_id=RunId(f"run_{name}"),
        epoch=epoch,
        outcome=Outcome(status, **outcome),
        content=said if isinstance(said, Content) else Content.of(said),
        finished_at=at(60),
        first_piece_ms=first_piece_ms,
        duration_ms=duration_ms,
        refused=refused,
    )
