"""Threads with what doors keep beside their messages."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from chatorch.adapters.sql.access import lock_owner, require_sane, require_thread, touch_threads
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.history import last_position
from chatorch.adapters.sql.rows import SELECT_WHOLE_MESSAGE, AnyRow, message_values, thread_values, to_message
from chatorch.adapters.sql.tables import LIVE, message_notes, messages, runs, side_items, threads
from chatorch.domain.model.annotations import ItemPage, NotedMessage, SideItem, ThreadItem
from chatorch.domain.model.conversation import Message, SideItemId, ThreadId
from chatorch.domain.model.errors import NotFound, ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.ports.thread_items import ThreadItemStore

Place = tuple[int, int]
"""A message's is its position with rank 0."""

_HERE: BindParameter[Any] = bindparam("thread_id")
_MESSAGES = SELECT_WHOLE_MESSAGE.where(messages.c.thread_id == _HERE, not_(messages.c.superseded))
_SIDE_ITEMS = select(side_items).where(side_items.c.thread_id == _HERE, not_(side_items.c.superseded))
_SIDE_PLACE = tuple_(side_items.c.position, side_items.c.rank)
_PLACE_OF_MESSAGE = select(messages.c.position).where(
    messages.c.id == bindparam("item_id"), messages.c.thread_id == _HERE
)
_PLACE_OF_SIDE_ITEM = select(side_items.c.position, side_items.c.rank).where(
    side_items.c.id == bindparam("item_id"), side_items.c.thread_id == _HERE
)
_WRITTEN = select(messages.c.thread_id, messages.c.run_id).where(messages.c.id == bindparam("item_id"))
_WHERE_KEPT = select(side_items.c.thread_id).where(side_items.c.id == bindparam("item_id"))
_LAST_RANK = select(func.max(side_items.c.rank)).where(
    side_items.c.thread_id == _HERE, side_items.c.position == bindparam("position")
)
_LIVE_RUN = select(runs.c.id).where(runs.c.thread_id == _HERE, LIVE)
_TAKE_OUT = (
    update(messages)
    .where(
        messages.c.id == bindparam("item"),
        messages.c.thread_id == bindparam("of_thread"),
        or_(messages.c.run_id.is_(None), messages.c.run_id.not_in(select(runs.c.id).where(LIVE))),
    )
    .values(superseded=True)
)
_DELETE = delete(side_items).where(side_items.c.id == bindparam("item"), side_items.c.thread_id == _HERE)


class SqlThreadItemStore(ThreadItemStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_items(
        self, owner_id: UserId, thread_id: ThreadId, *, limit: int, after: str | None = None, descending: bool = False
    ) -> ItemPage:
        work = partial(_list, owner_id=owner_id, thread_id=thread_id, limit=limit, after=after, descending=descending)
        return await self._database.read(work)

    async def read_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> ThreadItem:
        return await self._database.read(lambda connection: _read(connection, owner_id, thread_id, item_id))

    async def put_item(self, owner_id: UserId, thread_id: ThreadId, item: ThreadItem, title: str | None = None) -> None:
        await self._database.write(
            lambda connection: _put(connection, owner_id, thread_id, item, title), owner=owner_id
        )

    async def remove_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> None:
        await self._database.write(lambda connection: _remove(connection, owner_id, thread_id, item_id), owner=owner_id)


def _list(
    connection: Connection, owner_id: UserId, thread_id: ThreadId, limit: int, after: str | None, descending: bool
) -> ItemPage:
    require_thread(connection, owner_id, thread_id)
    place = None if after is None else _place_of(connection, thread_id, after)
    here = {"thread_id": thread_id}
    said, kept = _MESSAGES, _SIDE_ITEMS
    if place is not None:
        said = said.where(_message_beyond(place, descending=descending))
        kept = kept.where(place > _SIDE_PLACE if descending else place < _SIDE_PLACE)
    by_position = messages.c.position.desc() if descending else messages.c.position
    by_place = [c.desc() if descending else c for c in (side_items.c.position, side_items.c.rank)]
    found = [
        *(((row.position, 0), row) for row in connection.execute(said.order_by(by_position).limit(limit + 1), here)),
        *(
            ((row.position, row.rank), row)
            for row in connection.execute(kept.order_by(*by_place).limit(limit + 1), here)
        ),
    ]
    found.sort(key=lambda placed: placed[0], reverse=descending)
    items = _items(connection, [row for _, row in found[:limit]])
    return ItemPage(items, has_more=len(found) > limit)


def _message_beyond(place: Place, *, descending: bool) -> ColumnElement[bool]:
    position, rank = place
    if not descending:
        return messages.c.position > position
    return messages.c.position <= position if rank else messages.c.position < position


def _place_of(connection: Connection, thread_id: ThreadId, item_id: str) -> Place:
    """Also of what is superseded: a client may hold its id still."""
    require_sane(item_id)
    asked = {"thread_id": thread_id, "item_id": item_id}
    if (row := connection.execute(_PLACE_OF_MESSAGE, asked).one_or_none()) is not None:
        return row.position, 0
    if (row := connection.execute(_PLACE_OF_SIDE_ITEM, asked).one_or_none()) is not None:
        return row.position, row.rank
    raise NotFound


def _read(connection: Connection, owner_id: UserId, thread_id: ThreadId, item_id: str) -> ThreadItem:
    require_thread(connection, owner_id, thread_id)
    require_sane(item_id)
    here = {"thread_id": thread_id}
    row = connection.execute(_MESSAGES.where(messages.c.id == item_id), here).one_or_none()
    if row is None:
        row = connection.execute(_SIDE_ITEMS.where(side_items.c.id == item_id), here).one_or_none()
    if row is None:
        raise NotFound
    return _items(connection, [row])[0]


def _items(connection: Connection, rows: Sequence[AnyRow]) -> tuple[ThreadItem, ...]:
    said = [row.id for row in rows if _is_message(row)]
    notes = {}
    if said:
        noted = connection.execute(select(message_notes).where(message_notes.c.message_id.in_(said)))
        notes = {row.message_id: row.body for row in noted}
    return tuple(
        NotedMessage(to_message(row), notes.get(row.id)) if _is_message(row) else _to_side_item(row) for row in rows
    )


def _is_message(row: AnyRow) -> bool:
    return "role" in row._fields


def _to_side_item(row: AnyRow) -> SideItem:
    return SideItem(SideItemId(row.id), ThreadId(row.thread_id), row.body, row.created_at)


def _put(connection: Connection, owner_id: UserId, thread_id: ThreadId, item: ThreadItem, title: str | None) -> None:
    lock_owner(connection, owner_id)
    if title is None:
        require_thread(connection, owner_id, thread_id, lock=True)
    else:
        created_at = item.message.created_at if isinstance(item, NotedMessage) else item.created_at
        connection.execute(insert(threads), thread_values(owner_id, thread_id, title, created_at))
    if isinstance(item, NotedMessage):
        _put_message(connection, thread_id, item)
    else:
        _put_side_item(connection, thread_id, item)


def _put_message(connection: Connection, thread_id: ThreadId, item: NotedMessage) -> None:
    message = item.message
    require_sane(message.id)
    written = connection.execute(_WRITTEN, {"item_id": message.id}).one_or_none()
    if written is None:
        add_message(connection, thread_id, message)
    elif written.thread_id != thread_id:
        raise NotFound
    elif written.run_id is not None:
        return
    else:
        connection.execute(update(messages).where(messages.c.id == message.id).values(content=message.content))
        connection.execute(delete(message_notes).where(message_notes.c.message_id == message.id))
    if item.note is not None:
        connection.execute(insert(message_notes), {"message_id": message.id, "body": item.note})


def add_message(connection: Connection, thread_id: ThreadId, message: Message) -> None:
    """At the thread's end, which is the owner's and locked. Raises `ThreadBusy`."""
    live = connection.execute(_LIVE_RUN, {"thread_id": thread_id}).scalar_one_or_none()
    if live is not None:
        raise ThreadBusy(live)
    values = message_values(message) | {
        "thread_id": thread_id,
        "position": last_position(connection, thread_id) + 1,
        "run_id": None,
    }
    connection.execute(insert(messages), values)
    touch_threads(connection, [thread_id], message.created_at)


def _put_side_item(connection: Connection, thread_id: ThreadId, item: SideItem) -> None:
    require_sane(item.id)
    kept_in = connection.execute(_WHERE_KEPT, {"item_id": item.id}).scalar_one_or_none()
    if kept_in is not None:
        if kept_in != thread_id:
            raise NotFound
        connection.execute(update(side_items).where(side_items.c.id == item.id).values(body=item.body))
        return
    position = last_position(connection, thread_id)
    rank = connection.execute(_LAST_RANK, {"thread_id": thread_id, "position": position}).scalar_one() or 0
    values = {
        "id": item.id,
        "thread_id": thread_id,
        "position": position,
        "rank": rank + 1,
        "body": item.body,
        "created_at": item.created_at,
        "superseded": False,
    }
    connection.execute(insert(side_items), values)
    touch_threads(connection, [thread_id], item.created_at)


def _remove(connection: Connection, owner_id: UserId, thread_id: ThreadId, item_id: str) -> None:
    require_thread(connection, owner_id, thread_id, lock=True)
    require_sane(item_id)
    connection.execute(_TAKE_OUT, {"item": item_id, "of_thread": thread_id})
    connection.execute(_DELETE, {"item": item_id, "thread_id": thread_id})
