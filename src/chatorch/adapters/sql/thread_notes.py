"""What doors note with threads, and what users think of their items."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, insert, not_, select

from chatorch.adapters.sql.access import require_sane, require_thread
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.tables import messages, ratings, side_items, thread_notes, threads
from chatorch.domain.model.conversation import JsonObject, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId
from chatorch.ports.thread_items import ThreadNoteStore

_NOTES = select(thread_notes).join_from(thread_notes, threads).where(threads.c.owner_id == bindparam("owner_id"))


class SqlThreadNoteStore(ThreadNoteStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_notes(self, owner_id: UserId, thread_ids: Collection[ThreadId]) -> Mapping[ThreadId, JsonObject]:
        return await self._database.read(lambda connection: _read(connection, owner_id, thread_ids))

    async def put_note(self, owner_id: UserId, thread_id: ThreadId, note: JsonObject) -> None:
        await self._database.write(lambda connection: _put(connection, owner_id, thread_id, note), owner=owner_id)

    async def rate(
        self, owner_id: UserId, thread_id: ThreadId, item_ids: Collection[str], rating: str, now: datetime
    ) -> None:
        await self._database.write(
            lambda connection: _rate(connection, owner_id, thread_id, item_ids, rating, now), owner=owner_id
        )


def _read(connection: Connection, owner_id: UserId, thread_ids: Collection[ThreadId]) -> Mapping[ThreadId, JsonObject]:
    sane = [thread_id for thread_id in thread_ids if thread_id.isascii() and "\0" not in thread_id]
    found = connection.execute(_NOTES.where(thread_notes.c.thread_id.in_(sane)), {"owner_id": owner_id})
    return {ThreadId(row.thread_id): row.body for row in found}


def _put(connection: Connection, owner_id: UserId, thread_id: ThreadId, note: JsonObject) -> None:
    require_thread(connection, owner_id, thread_id, lock=True)
    connection.execute(delete(thread_notes).where(thread_notes.c.thread_id == thread_id))
    connection.execute(insert(thread_notes), {"thread_id": thread_id, "body": note})


def _rate(
    connection: Connection,
    owner_id: UserId,
    thread_id: ThreadId,
    item_ids: Collection[str],
    rating: str,
    now: datetime,
) -> None:
    require_thread(connection, owner_id, thread_id, lock=True)
    require_sane(*item_ids)
    rated = set(item_ids)
    there = sum(
        connection.execute(
            select(func.count()).where(table.c.id.in_(rated), table.c.thread_id == thread_id, not_(table.c.superseded))
        ).scalar_one()
        for table in (messages, side_items)
    )
    if there != len(rated):
        raise NotFound
    connection.execute(delete(ratings).where(ratings.c.thread_id == thread_id, ratings.c.item_id.in_(rated)))
    rows = [{"thread_id": thread_id, "item_id": item_id, "rating": rating, "created_at": now} for item_id in rated]
    if rows:
        connection.execute(insert(ratings), rows)
