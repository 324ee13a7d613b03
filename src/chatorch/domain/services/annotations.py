"""A thread as a door shows it that keeps more than messages."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from chatorch.domain.model.annotations import ItemPage, NotedMessage, ThreadItem
from chatorch.domain.model.conversation import JsonObject, ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.services.conversations import as_it_is_now, ended_meanwhile
from chatorch.ports.run_log import RunLog
from chatorch.ports.system import Clock
from chatorch.ports.thread_items import ThreadItemStore, ThreadNoteStore


class Annotations:
    """Messages with their notes, side items, notes of threads, ratings. What belongs to somebody else is `NotFound`."""

    def __init__(self, *, items: ThreadItemStore, notes: ThreadNoteStore, log: RunLog, clock: Clock) -> None:
        self._items = items
        self._notes = notes
        self._log = log
        self._clock = clock

    async def page(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        limit: int,
        after: str | None = None,
        descending: bool = False,
    ) -> ItemPage:
        """By place; a message that is being written shows its text so far, where that is known here."""
        read = partial(
            self._items.list_items, principal.user_id, thread_id, limit=limit, after=after, descending=descending
        )
        found = await read()
        if any(isinstance(item, NotedMessage) and ended_meanwhile(item.message, self._log) for item in found.items):
            found = await read()
        return replace(found, items=tuple(map(self._as_it_is_now, found.items)))

    async def read(self, principal: Principal, thread_id: ThreadId, item_id: str) -> ThreadItem:
        return self._as_it_is_now(await self._items.read_item(principal.user_id, thread_id, item_id))

    async def put(self, principal: Principal, thread_id: ThreadId, item: ThreadItem, title: str | None = None) -> None:
        """See `ThreadItemStore.put_item`."""
        await self._items.put_item(principal.user_id, thread_id, item, title)

    async def remove(self, principal: Principal, thread_id: ThreadId, item_id: str) -> None:
        await self._items.remove_item(principal.user_id, thread_id, item_id)

    async def notes(self, principal: Principal, thread_ids: Collection[ThreadId]) -> Mapping[ThreadId, JsonObject]:
        return await self._notes.read_notes(principal.user_id, thread_ids)

    async def put_note(self, principal: Principal, thread_id: ThreadId, note: JsonObject) -> None:
        await self._notes.put_note(principal.user_id, thread_id, note)

    async def rate(self, principal: Principal, thread_id: ThreadId, item_ids: Collection[str], rating: str) -> None:
        await self._notes.rate(principal.user_id, thread_id, item_ids, rating, self._clock.now())

    def _as_it_is_now(self, item: ThreadItem) -> ThreadItem:
        return replace(item, message=as_it_is_now(item.message, self._log)) if isinstance(item, NotedMessage) else item
