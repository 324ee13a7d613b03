"""Threads in memory, with what doors keep beside their messages."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import datetime

from chatorch.adapters.memory.runs import append
from chatorch.adapters.memory.state import SideRecord, State, ThreadRecord
from chatorch.domain.model.annotations import ItemPage, NotedMessage, SideItem, ThreadItem
from chatorch.domain.model.annotations import item_id as id_of
from chatorch.domain.model.conversation import JsonObject, NewMessage, Thread, ThreadId
from chatorch.domain.model.errors import NotFound, ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.ports.thread_items import ThreadItemStore, ThreadNoteStore


class MemoryThreadItemStore(ThreadItemStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def list_items(
        self, owner_id: UserId, thread_id: ThreadId, *, limit: int, after: str | None = None, descending: bool = False
    ) -> ItemPage:
        self._state.require_available()
        everything = _in_order(self._state.thread_of(owner_id, thread_id))
        if descending:
            everything.reverse()
        if after is not None:
            at = next((n for n, (item, _) in enumerate(everything) if id_of(item) == after), None)
            if at is None:
                raise NotFound
            everything = everything[at + 1 :]
        shown = [item for item, superseded in everything if not superseded]
        return ItemPage(tuple(shown[:limit]), has_more=len(shown) > limit)

    async def read_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> ThreadItem:
        self._state.require_available()
        everything = _in_order(self._state.thread_of(owner_id, thread_id))
        found = (item for item, superseded in everything if id_of(item) == item_id and not superseded)
        if (item := next(found, None)) is None:
            raise NotFound
        return item

    async def put_item(self, owner_id: UserId, thread_id: ThreadId, item: ThreadItem, title: str | None = None) -> None:
        state = self._state
        state.require_writable()
        made_at = item.message.created_at if isinstance(item, NotedMessage) else item.created_at
        if title is None:
            record = state.thread_of(owner_id, thread_id)
        else:
            record = ThreadRecord(Thread(thread_id, owner_id, title, {}, created_at=made_at, updated_at=made_at))
        if any(_has(other, id_of(item)) for other in state.threads.values() if other is not record):
            raise NotFound
        if isinstance(item, NotedMessage):
            self._put_message(record, item)
        else:
            _put_side_item(record, item)
        state.threads[thread_id] = record

    async def remove_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> None:
        self._state.require_writable()
        record = self._state.thread_of(owner_id, thread_id)
        for said in record.messages:
            if said.message.id == item_id and said.message.run_id not in self._state.live:
                said.superseded = True
        record.side_items = [kept for kept in record.side_items if kept.item.id != item_id]

    def _put_message(self, record: ThreadRecord, item: NotedMessage) -> None:
        message = item.message
        written = record.find(message.id)
        if written is None:
            if live := self._state.live_in(record.thread.id):
                raise ThreadBusy(live.id)
            new = NewMessage(message.role, message.content, None, message.metadata, item.note)
            append(record, message.id, new, message.created_at)
            record.touch(message.created_at)
        elif written.message.run_id is None:
            written.message = replace(written.message, content=message.content)
            written.note = deepcopy(item.note)


class MemoryThreadNoteStore(ThreadNoteStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def read_notes(self, owner_id: UserId, thread_ids: Collection[ThreadId]) -> Mapping[ThreadId, JsonObject]:
        self._state.require_available()
        records = (self._state.threads[thread_id] for thread_id in thread_ids if thread_id in self._state.threads)
        return {r.thread.id: r.note for r in records if r.thread.owner_id == owner_id and r.note is not None}

    async def put_note(self, owner_id: UserId, thread_id: ThreadId, note: JsonObject) -> None:
        self._state.require_writable()
        self._state.thread_of(owner_id, thread_id).note = deepcopy(note)

    async def rate(
        self, owner_id: UserId, thread_id: ThreadId, item_ids: Collection[str], rating: str, now: datetime
    ) -> None:
        self._state.require_writable()
        record = self._state.thread_of(owner_id, thread_id)
        there = {id_of(item) for item, superseded in _in_order(record) if not superseded}
        if not there.issuperset(item_ids):
            raise NotFound
        record.ratings.update(dict.fromkeys(item_ids, (rating, now)))


def _in_order(record: ThreadRecord) -> list[tuple[ThreadItem, bool]]:
    """All items by place, and whether they are superseded."""
    placed: list[tuple[int, ThreadItem, bool]] = [
        (said.message.position, NotedMessage(said.message, said.note), said.superseded) for said in record.messages
    ]
    placed += [(kept.position, kept.item, kept.superseded) for kept in record.side_items]
    placed.sort(key=lambda each: each[0])  # stable: a message comes before what is kept behind it
    return [(item, superseded) for _, item, superseded in placed]


def _has(record: ThreadRecord, item_id: str) -> bool:
    return any(id_of(item) == item_id for item, _ in _in_order(record))


def _put_side_item(record: ThreadRecord, item: SideItem) -> None:
    for kept in record.side_items:
        if kept.item.id == item.id:
            kept.item = replace(kept.item, body=deepcopy(item.body))
            return
    new = replace(item, thread_id=record.thread.id, body=deepcopy(item.body))
    record.side_items.append(SideRecord(new, position=len(record.messages)))
    record.touch(item.created_at)
