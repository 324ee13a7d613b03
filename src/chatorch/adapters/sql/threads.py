"""Threads and their messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, not_, select, tuple_, update

from chatorch.adapters.sql.access import FORWARD, lock_owner, require_sane, require_thread
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.outcomes import to_usage
from chatorch.adapters.sql.rows import (
    SELECT_RUN,
    SELECT_THREAD,
    SELECT_WHOLE_MESSAGE,
    interaction_values,
    thread_values,
    to_message,
    to_run,
    to_thread,
)
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs, threads
from chatorch.adapters.sql.thread_items import add_message
from chatorch.domain.model.conversation import Message, MessageId, Role, Thread, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import MessageCursor, Page, PageRequest, ThreadCursor
from chatorch.domain.model.run import Interaction, Run, RunStatus
from chatorch.ports.client_refs import ClientRefStore
from chatorch.ports.empty_threads import EmptyThreadStore
from chatorch.ports.threads import Question, ThreadChange, ThreadStore

_MINE = (threads.c.id == bindparam("thread_id"), threads.c.owner_id == bindparam("owner"))
_READ = SELECT_THREAD.where(*_MINE)
_NAMED = SELECT_THREAD.where(threads.c.owner_id == bindparam("owner"), threads.c.client_ref == bindparam("client_ref"))
_QUESTIONS = (
    select(messages.c.id, messages.c.metadata)
    .where(
        messages.c.thread_id == bindparam("thread_id"),
        messages.c.role == Role.USER.value,
        messages.c.content == bindparam("text"),
        not_(messages.c.superseded),
    )
    .order_by(messages.c.position.desc())
    .limit(bindparam("most"))
)
_DELETE = delete(threads).where(*_MINE)
_UPDATE = update(threads).where(*_MINE).values(updated_at=FORWARD).returning(threads)
_LIVE_RUN = SELECT_RUN.where(runs.c.thread_id == bindparam("thread_id"), LIVE)
_LOCK_LIVE_RUN = (
    select(runs)
    .where(runs.c.thread_id == bindparam("thread_id"), runs.c.owner_id == bindparam("owner"), LIVE)
    .with_for_update()
)
_ADD_INTERACTION = insert(interactions)


class SqlThreadStore(ThreadStore, ClientRefStore, EmptyThreadStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_threads(self, owner_id: UserId, page: PageRequest[ThreadCursor]) -> Page[Thread]:
        return await self._database.read(lambda connection: _list_threads(connection, owner_id, page))

    async def read_thread(self, owner_id: UserId, thread_id: ThreadId) -> Thread:
        return await self._database.read(lambda connection: _read_thread(connection, owner_id, thread_id))

    async def update_thread(self, owner_id: UserId, thread_id: ThreadId, change: ThreadChange, now: datetime) -> Thread:
        return await self._database.write(lambda c: _update_thread(c, owner_id, thread_id, change, now), owner=owner_id)

    async def delete_thread(self, owner_id: UserId, thread_id: ThreadId, now: datetime) -> None:  # noqa: ARG002
        # `now` changes nothing here: the interaction is dated by its run, and the thread is gone.
        await self._database.write(lambda connection: _delete_thread(connection, owner_id, thread_id), owner=owner_id)

    async def list_messages(
        self, owner_id: UserId, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        return await self._database.read(lambda connection: _list_messages(connection, owner_id, thread_id, page))

    async def questions(self, owner_id: UserId, thread_id: ThreadId, text: str, limit: int) -> tuple[Question, ...]:
        return await self._database.read(lambda connection: _questions(connection, owner_id, thread_id, text, limit))

    async def find_thread(self, owner_id: UserId, client_ref: str) -> Thread | None:
        values = {"client_ref": client_ref, "owner": owner_id}
        row = await self._database.read(lambda connection: connection.execute(_NAMED, values).one_or_none())
        return None if row is None else to_thread(row)

    async def add_thread(self, thread: Thread, messages: Sequence[Message] = ()) -> None:
        await self._database.write(lambda connection: _add_thread(connection, thread, messages), owner=thread.owner_id)

    async def add_messages(self, owner_id: UserId, thread_id: ThreadId, messages: Sequence[Message]) -> None:
        await self._database.write(lambda c: _add_messages(c, owner_id, thread_id, messages), owner=owner_id)

    async def live_run(self, owner_id: UserId, thread_id: ThreadId) -> Run | None:
        return await self._database.read(lambda connection: _live_run(connection, owner_id, thread_id))


def _list_threads(connection: Connection, owner_id: UserId, page: PageRequest[ThreadCursor]) -> Page[Thread]:
    place = tuple_(threads.c.updated_at, threads.c.id)
    statement = SELECT_THREAD.where(threads.c.owner_id == owner_id, threads.c.stored).limit(page.limit + 1)
    if page.after is not None:
        at = (page.after.updated_at, page.after.id if page.after.id.isascii() else "")
        statement = statement.where(place < at if page.descending else place > at)
    columns = (threads.c.updated_at, threads.c.id)
    statement = statement.order_by(*(column.desc() if page.descending else column for column in columns))
    found = [to_thread(row) for row in connection.execute(statement)]
    after = None
    if len(found) > page.limit:
        last = found[page.limit - 1]
        after = ThreadCursor(last.updated_at, last.id).encode()
    return Page(tuple(found[: page.limit]), after)


def _read_thread(connection: Connection, owner_id: UserId, thread_id: ThreadId) -> Thread:
    require_sane(thread_id)
    row = connection.execute(_READ, {"thread_id": thread_id, "owner": owner_id}).one_or_none()
    if row is None:
        raise NotFound
    return to_thread(row)


def _update_thread(
    connection: Connection, owner_id: UserId, thread_id: ThreadId, change: ThreadChange, now: datetime
) -> Thread:
    require_sane(thread_id)
    values: dict[str, Any] = {}
    if change.title is not None:
        values["title"] = change.title
    if change.metadata is not None:
        values["metadata"] = change.metadata
    statement = _UPDATE.values(**values) if values else _UPDATE
    row = connection.execute(statement, {"thread_id": thread_id, "owner": owner_id, "now": now}).one_or_none()
    if row is None:
        raise NotFound
    return to_thread(row)


def _delete_thread(connection: Connection, owner_id: UserId, thread_id: ThreadId) -> None:
    require_sane(thread_id)
    lock_owner(connection, owner_id)
    mine = {"thread_id": thread_id, "owner": owner_id}
    live = connection.execute(_LOCK_LIVE_RUN, mine).one_or_none()
    if live is not None:
        interaction = Interaction(
            run_id=live.id,
            thread_id=thread_id,
            user_id=owner_id,
            model=live.model,
            status=RunStatus.CANCELLED,
            usage=to_usage(live),
            first_piece_ms=None,
            duration_ms=None,
            error_code=None,
            created_at=live.created_at,
            guest_label=live.guest_label,
            attempts=live.epoch,
        )
        connection.execute(_ADD_INTERACTION, interaction_values(interaction))
    if connection.execute(_DELETE, mine).rowcount == 0:
        raise NotFound


def _list_messages(
    connection: Connection, owner_id: UserId, thread_id: ThreadId, page: PageRequest[MessageCursor]
) -> Page[Message]:
    require_thread(connection, owner_id, thread_id)
    position = messages.c.position
    statement = SELECT_WHOLE_MESSAGE.where(messages.c.thread_id == thread_id, not_(messages.c.superseded))
    if page.after is not None:
        at = page.after.position
        statement = statement.where(position < at if page.descending else position > at)
    statement = statement.order_by(position.desc() if page.descending else position).limit(page.limit + 1)
    found = [to_message(row) for row in connection.execute(statement)]
    after = MessageCursor(found[page.limit - 1].position).encode() if len(found) > page.limit else None
    return Page(tuple(found[: page.limit]), after)


def _questions(
    connection: Connection, owner_id: UserId, thread_id: ThreadId, text: str, limit: int
) -> tuple[Question, ...]:
    require_thread(connection, owner_id, thread_id)
    found = connection.execute(_QUESTIONS, {"thread_id": thread_id, "text": text, "most": limit})
    return tuple(Question(MessageId(row.id), row.metadata) for row in found)


def _add_thread(connection: Connection, thread: Thread, said: Sequence[Message]) -> None:
    lock_owner(connection, thread.owner_id)
    if connection.execute(_READ, {"thread_id": thread.id, "owner": thread.owner_id}).one_or_none() is not None:
        return
    values = thread_values(thread.owner_id, thread.id, thread.title, thread.created_at)
    connection.execute(insert(threads), {**values, "metadata": dict(thread.metadata)})
    for message in said:
        add_message(connection, thread.id, message)


def _add_messages(connection: Connection, owner_id: UserId, thread_id: ThreadId, said: Sequence[Message]) -> None:
    lock_owner(connection, owner_id)
    require_thread(connection, owner_id, thread_id, lock=True)
    ids = [message.id for message in said]
    if connection.execute(select(messages.c.id).where(messages.c.id.in_(ids)).limit(1)).one_or_none() is not None:
        return
    for message in said:
        add_message(connection, thread_id, message)


def _live_run(connection: Connection, owner_id: UserId, thread_id: ThreadId) -> Run | None:
    require_thread(connection, owner_id, thread_id)
    row = connection.execute(_LIVE_RUN, {"thread_id": thread_id}).one_or_none()
    return None if row is None else to_run(row)
