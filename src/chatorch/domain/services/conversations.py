"""Threads and their messages: list, read, rename, delete."""

from dataclasses import replace

from chatorch.domain.model.conversation import Message, MessageStatus, Thread, ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MessageCursor, Page, PageRequest, ThreadCursor
from chatorch.domain.services.executions import Executions
from chatorch.domain.services.runs import Runs
from chatorch.ports.run_log import RunLog
from chatorch.ports.system import Clock
from chatorch.ports.threads import ThreadChange, ThreadStore

CANCEL_BEFORE_DELETE_S = 2.0


class Conversations:
    """What a user has said and heard. What belongs to somebody else is `NotFound`."""

    def __init__(self, *, store: ThreadStore, log: RunLog, runs: Runs, executions: Executions, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._runs = runs
        self._executions = executions
        self._clock = clock

    async def threads(self, principal: Principal, page: PageRequest[ThreadCursor]) -> Page[Thread]:
        return await self._store.list_threads(principal.user_id, page)

    async def thread(self, principal: Principal, thread_id: ThreadId) -> Thread:
        return await self._store.read_thread(principal.user_id, thread_id)

    async def change(self, principal: Principal, thread_id: ThreadId, change: ThreadChange) -> Thread:
        if change == ThreadChange():
            return await self.thread(principal, thread_id)
        return await self._store.update_thread(principal.user_id, thread_id, change, self._clock.now())

    async def delete(self, principal: Principal, thread_id: ThreadId) -> None:
        """Cancels a live run, gives its followers the time to hear it, and removes the thread with all in it."""
        live = await self._store.live_run(principal.user_id, thread_id)
        if live is not None:
            await self._runs.cancel(principal, live.id)
            await self._executions.ended(live.id, CANCEL_BEFORE_DELETE_S)
        await self._store.delete_thread(principal.user_id, thread_id, self._clock.now())

    async def messages(
        self, principal: Principal, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        """A message that is being written here shows its text so far."""
        found = await self._store.list_messages(principal.user_id, thread_id, page)
        return replace(found, items=tuple(self._with_live_text(message) for message in found.items))

    def _with_live_text(self, message: Message) -> Message:
        if message.status is not MessageStatus.STREAMING or message.run_id is None:
            return message
        text = self._log.text(message.run_id)
        # A copy of another process's run may have fallen behind its row.
        return message if text is None or len(text) < len(message.content) else replace(message, content=text)
