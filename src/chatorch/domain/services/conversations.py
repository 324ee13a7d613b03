"""Threads and their messages: list, read, rename, delete."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from chatorch.domain.model.content import fresher
from chatorch.domain.model.conversation import OUR_THREADS, JsonObject, Message, MessageStatus, RunId, Thread, ThreadId
from chatorch.domain.model.errors import ThreadBusy
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MessageCursor, Page, PageRequest, ThreadCursor
from chatorch.domain.model.policy import require_no_guest_thread
from chatorch.domain.model.run import Run
from chatorch.domain.services.execution.executor import Executor
from chatorch.domain.services.runs import Runs
from chatorch.ports.client_refs import ClientRefStore
from chatorch.ports.empty_threads import EmptyThreadStore
from chatorch.ports.run_control import CancelCall, RunControl
from chatorch.ports.run_log import RunLog
from chatorch.ports.system import Clock
from chatorch.ports.threads import Question, ThreadChange, ThreadStore

CANCEL_S = 2.0
LOOK_S = 0.05
MOST_ALIKE = 1000


class Conversations:
    """What a user has said and heard. What belongs to somebody else is `NotFound`."""

    def __init__(
        self,
        *,
        store: ThreadStore,
        client_refs: ClientRefStore,
        empty_threads: EmptyThreadStore,
        log: RunLog,
        run_control: RunControl,
        runs: Runs,
        executor: Executor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._client_refs = client_refs
        self._empty_threads = empty_threads
        self._log = log
        self._run_control = run_control
        self._runs = runs
        self._executor = executor
        self._clock = clock

    async def threads(self, principal: Principal, page: PageRequest[ThreadCursor]) -> Page[Thread]:
        return await self._store.list_threads(principal.user_id, page)

    async def thread(self, principal: Principal, thread_id: ThreadId) -> Thread:
        return await self._store.read_thread(principal.user_id, thread_id)

    async def named(self, principal: Principal, name: str) -> Thread | None:
        """By what a client calls it: its own id, or ours of one that was begun elsewhere; ours raises `NotFound`."""
        if name.startswith(OUR_THREADS):
            return await self.thread(principal, ThreadId(name))
        return await self._client_refs.find_thread(principal.user_id, name)

    async def open(
        self,
        principal: Principal,
        thread_id: ThreadId,
        title: str,
        metadata: JsonObject | None = None,
        messages: Sequence[Message] = (),
    ) -> Thread:
        """A new thread, of this id, in which nothing is said but `messages`; the one that has the id already is given
        back as it is. Raises `GuestThread`."""
        require_no_guest_thread(principal, thread_id)
        now = self._clock.now()
        thread = Thread(thread_id, principal.user_id, title, metadata or {}, now, now)
        await self._empty_threads.add_thread(thread, messages)
        return await self.thread(principal, thread_id)

    async def add(self, principal: Principal, thread_id: ThreadId, messages: Sequence[Message]) -> None:
        """See `EmptyThreadStore.add_messages`."""
        await self._empty_threads.add_messages(principal.user_id, thread_id, messages)

    async def change(self, principal: Principal, thread_id: ThreadId, change: ThreadChange) -> Thread:
        if change == ThreadChange():
            return await self.thread(principal, thread_id)
        return await self._store.update_thread(principal.user_id, thread_id, change, self._clock.now())

    async def delete(self, principal: Principal, thread_id: ThreadId) -> None:
        """Cancels a live run, gives its followers the time to hear it, and removes the thread with all in it."""
        live = await self._store.live_run(principal.user_id, thread_id)
        if live is not None:
            await self._runs.cancel(principal, live.id)
            await self._executor.ended(live.id, CANCEL_S)
        await self._store.delete_thread(principal.user_id, thread_id, self._clock.now())

    async def live_run(self, principal: Principal, thread_id: ThreadId) -> Run | None:
        """The thread's live run, if it has one."""
        return await self._store.live_run(principal.user_id, thread_id)

    async def make_way(self, principal: Principal, thread_id: ThreadId) -> None:
        """Stops a live run that nobody follows, wherever it is executed. Raises `ThreadBusy` for one that goes on."""
        live = await self._store.live_run(principal.user_id, thread_id)
        if live is None:
            return
        if self._executor.executes(live.id):
            await self._executor.stop_unfollowed(live.id)
        else:
            self._run_control.cancel(CancelCall(live.id, if_unfollowed=True))
        give_up_at = self._clock.monotonic() + CANCEL_S
        while await self._store.live_run(principal.user_id, thread_id) is not None:
            if self._clock.monotonic() >= give_up_at:
                raise ThreadBusy(live.id)
            await self._clock.sleep(LOOK_S)

    async def messages(
        self, principal: Principal, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        """A message that is being written here shows its text so far."""
        found = await self._store.list_messages(principal.user_id, thread_id, page)
        if any(ended_meanwhile(message, self._log) for message in found.items):
            found = await self._store.list_messages(principal.user_id, thread_id, page)
        return replace(found, items=tuple(as_it_is_now(message, self._log) for message in found.items))

    async def questions(self, principal: Principal, thread_id: ThreadId, text: str) -> tuple[Question, ...]:
        """The user's messages that say exactly this, newest first; of very many the newest."""
        return await self._store.questions(principal.user_id, thread_id, text, MOST_ALIKE)


def ended_meanwhile(message: Message, log: RunLog) -> bool:
    """Whether the row may be older than the end of its run. One that is executed elsewhere looks the same."""
    streaming = message.status is MessageStatus.STREAMING and message.run_id is not None
    return streaming and log.content(cast("RunId", message.run_id)) is None


def as_it_is_now(message: Message, log: RunLog) -> Message:
    """With what its run has said, where that is known here."""
    if message.status is not MessageStatus.STREAMING or message.run_id is None:
        return message
    live = log.content(message.run_id)
    if live is None:
        return message
    # What a later attempt says stands in place of all that was there; of the first one, a copy of another process's run
    # may have fallen behind its row.
    return message.holding(live if log.base(message.run_id) else fresher(message.whole, live))
