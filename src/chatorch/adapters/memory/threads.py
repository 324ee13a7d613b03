"""Threads and their messages in memory."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from chatorch.adapters.memory.runs import append
from chatorch.adapters.memory.state import State, ThreadRecord
from chatorch.domain.model.conversation import Message, NewMessage, Role, Thread, ThreadId
from chatorch.domain.model.errors import ThreadBusy
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import MessageCursor, Page, PageRequest, ThreadCursor
from chatorch.domain.model.run import CancelReason, Outcome, Run, RunStatus
from chatorch.ports.client_refs import ClientRefStore
from chatorch.ports.empty_threads import EmptyThreadStore
from chatorch.ports.threads import Question, ThreadChange, ThreadStore

T = TypeVar("T", Thread, Message)


class MemoryThreadStore(ThreadStore, ClientRefStore, EmptyThreadStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def list_threads(self, owner_id: UserId, page: PageRequest[ThreadCursor]) -> Page[Thread]:
        self._state.require_available()
        threads = [r.thread for r in self._state.threads.values() if r.thread.owner_id == owner_id and r.thread.stored]
        after = page.after and (page.after.updated_at, page.after.id)
        items, more = _page(threads, _thread_place, after, limit=page.limit, descending=page.descending)
        return Page(tuple(items), ThreadCursor(*_thread_place(items[-1])).encode() if more else None)

    async def read_thread(self, owner_id: UserId, thread_id: ThreadId) -> Thread:
        self._state.require_available()
        return self._state.thread_of(owner_id, thread_id).thread

    async def update_thread(self, owner_id: UserId, thread_id: ThreadId, change: ThreadChange, now: datetime) -> Thread:
        self._state.require_writable()
        record = self._state.thread_of(owner_id, thread_id)
        title = record.thread.title if change.title is None else change.title
        metadata = record.thread.metadata if change.metadata is None else deepcopy(change.metadata)
        record.thread = replace(record.thread, title=title, metadata=metadata)
        record.touch(now)
        return record.thread

    async def delete_thread(self, owner_id: UserId, thread_id: ThreadId, now: datetime) -> None:
        state = self._state
        state.require_writable()
        state.thread_of(owner_id, thread_id)
        if live := state.live_in(thread_id):
            spent = state.live[live.id].spent
            outcome = Outcome(RunStatus.CANCELLED, usage=spent, cancel_reason=CancelReason.USER)
            cancelled = replace(live, status=outcome.status, outcome=outcome, finished_at=now, seq=live.seq + 1)
            state.end_run(cancelled, now)
        state.remove(thread_id)

    async def list_messages(
        self, owner_id: UserId, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        self._state.require_available()
        messages = self._state.thread_of(owner_id, thread_id).shown()
        after = page.after and page.after.position
        items, more = _page(messages, lambda m: m.position, after, limit=page.limit, descending=page.descending)
        return Page(tuple(items), MessageCursor(items[-1].position).encode() if more else None)

    async def questions(self, owner_id: UserId, thread_id: ThreadId, text: str, limit: int) -> tuple[Question, ...]:
        self._state.require_available()
        newest = reversed(self._state.thread_of(owner_id, thread_id).shown())
        found = (Question(m.id, m.metadata) for m in newest if m.role is Role.USER and m.content == text)
        return tuple(islice(found, limit))

    async def find_thread(self, owner_id: UserId, client_ref: str) -> Thread | None:
        self._state.require_available()
        return self._state.named(owner_id, client_ref)

    async def add_thread(self, thread: Thread, messages: Sequence[Message] = ()) -> None:
        self._state.require_writable()
        if thread.id in self._state.threads:
            return
        record = self._state.threads[thread.id] = ThreadRecord(replace(thread, metadata=deepcopy(thread.metadata)))
        _add(record, messages)

    async def add_messages(self, owner_id: UserId, thread_id: ThreadId, messages: Sequence[Message]) -> None:
        self._state.require_writable()
        record = self._state.thread_of(owner_id, thread_id)
        if any(record.find(message.id) is not None for message in messages):
            return
        if live := self._state.live_in(thread_id):
            raise ThreadBusy(live.id)
        _add(record, messages)

    async def live_run(self, owner_id: UserId, thread_id: ThreadId) -> Run | None:
        self._state.require_available()
        self._state.thread_of(owner_id, thread_id)
        return self._state.live_in(thread_id)


def _thread_place(thread: Thread) -> tuple[datetime, str]:
    return thread.updated_at, thread.id


def _page(
    items: Sequence[T], place: Callable[[T], Any], after: Any | None, *, limit: int, descending: bool
) -> tuple[list[T], bool]:
    """The items beyond place `after` in the direction of the list, and whether there are more of them."""
    if after is not None:
        items = [item for item in items if (place(item) < after if descending else place(item) > after)]
    ordered = sorted(items, key=place, reverse=descending)
    return ordered[:limit], len(ordered) > limit


def _add(record: ThreadRecord, messages: Sequence[Message]) -> None:
    for message in messages:
        append(record, message.id, NewMessage(message.role, message.content), message.created_at)
        record.touch(message.created_at)
