"""What a client asks for as a run: a new message, one in the place of another, the same answered once more, or the
next run of a turn that waited for what it says to calls of tools."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from chatorch.domain.model.conversation import OUR_THREADS, Message, Role, RunId, Thread, ThreadId
from chatorch.domain.model.errors import NotFound, ThreadBusy
from chatorch.domain.model.generation import AS_USUAL
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MAX_LIMIT, MessageCursor, Page, PageRequest
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import AnswerAgain, AnswerCalls, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ai_sdk.messages import before, calls_known, goes_on, grouped, known_by, ui_messages
from chatorch.entrypoints.ai_sdk.said_to_calls import Answered
from chatorch.entrypoints.ai_sdk.schemas import Asked
from chatorch.entrypoints.ai_sdk.turn_before import NOTHING_BEFORE, Before

NEWEST = 20
"""Messages in which a turn is looked for that goes on; it is read back to its beginning."""
FAR_BACK = 10
"""Pages in which an earlier message is looked for."""


class Turns:
    def __init__(self, runs: Runs, conversations: Conversations) -> None:
        self._runs = runs
        self._conversations = conversations

    async def thread(self, principal: Principal, ref: str) -> Thread:
        """By the chat's id. Raises `NotFound`, also for what cannot be one."""
        thread = await self._conversations.named(principal, ref) if ref.isprintable() else None
        if thread is None:
            raise NotFound
        return thread

    async def live_run(self, principal: Principal, ref: str) -> Run | None:
        """The answer that is being given there. Raises `NotFound`."""
        thread = await self.thread(principal, ref)
        return await self._conversations.live_run(principal, thread.id)

    async def to_resume(self, principal: Principal, ref: str) -> Run | None:
        """As `live_run`, but None as well of a chat in which nothing has been said: its client asks before it speaks.
        Raises `NotFound` for our id of a thread of somebody else's."""
        try:
            return await self.live_run(principal, ref)
        except NotFound:
            if ref.startswith(OUR_THREADS):
                raise
            return None

    async def open(self, principal: Principal, asked: Asked | Answered, key: str | None) -> tuple[Run, Before]:
        """The run, and what its turn has said before. Raises as `Runs.start` and `Runs.answer_calls`."""
        if isinstance(asked, Answered):
            run = await self._answer(principal, asked, key)
            return run, await self.before(principal, run, whole=False)
        run = await self._ask(principal, asked, key)
        if asked.about is None or principal.guest:
            return run, NOTHING_BEFORE
        # Its client has dropped the answer by now that the run may go on from.
        return run, await self.before(principal, run, whole=True)

    async def _ask(self, principal: Principal, asked: Asked, key: str | None) -> Run:
        """A message that is not known here is a new one, whatever its client asks about it: it never came to be
        stored."""
        key = key or asked.key
        ours = asked.ref.startswith(OUR_THREADS)
        chat = StartChat(
            messages=(asked.message,),
            thread_id=ThreadId(asked.ref) if ours else None,
            client_ref=None if ours or principal.guest else asked.ref,
            model=asked.model,
            generation=asked.generation,
            idempotency_key=key,
            request=asked.digest if key is not None else None,
            any_length=True,
        )
        self._runs.check(principal, chat)
        found = None
        if asked.about is not None and not principal.guest:
            found = await self._find(principal, asked.ref, asked.about)
        if found is None:
            return await self._making_way(principal, lambda: self._runs.start(principal, chat))
        question, answer = found
        if not asked.regenerate and asked.message.content != question.content:
            edit = replace(chat, thread_id=question.thread_id, client_ref=None, instead_of=question.id)
            return await self._making_way(principal, lambda: self._runs.start(principal, edit))
        return await self._making_way(principal, lambda: self._again(principal, chat, question, answer))

    async def _answer(self, principal: Principal, said: Answered, key: str | None) -> Run:
        thread = await self.thread(principal, said.ref)
        newest = await self._turns(principal, thread.id, PageRequest(NEWEST, None, descending=True))
        groups = grouped(list(reversed(newest.items)))
        turn = next((group for group in groups if group[0].id == said.message_id), groups[-1] if groups else [])
        answers = said.answers(calls_known(turn))
        return await self._runs.answer_calls(principal, AnswerCalls(thread.id, answers, idempotency_key=key))

    async def before(self, principal: Principal, run: Run, *, whole: bool) -> Before:
        """What the turn of a run has said before it. `whole`: to a client that begins the message anew."""
        newest = await self._turns(principal, run.thread_id, PageRequest(NEWEST, None, descending=True))
        for group in grouped(list(reversed(newest.items))):
            place = next((at for at, message in enumerate(group) if message.id == run.message_id), 0)
            if place:
                return before(group[:place], whole=whole)
        return NOTHING_BEFORE

    async def _turns(
        self, principal: Principal, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        """Messages from the newest on, with all of the turn that the page would end in."""
        found = await self._conversations.messages(principal, thread_id, page)
        messages, after = list(found.items), found.after
        while after is not None and messages and messages[-1].role in (Role.ASSISTANT, Role.TOOL):
            request = PageRequest(NEWEST, MessageCursor.decode(after), descending=True)
            more = await self._conversations.messages(principal, thread_id, request)
            for message in more.items:
                if not goes_on(message, messages[-1]):
                    return Page(tuple(messages), MessageCursor(messages[-1].position).encode())
                messages.append(message)
            after = more.after
        return Page(tuple(messages), after)

    async def _again(self, principal: Principal, chat: StartChat, question: Message, answer: Message | None) -> Run:
        """As it was answered before, where nothing else is asked."""
        model, generation = chat.model, chat.generation
        if answer is not None and answer.run_id is not None:
            earlier = await self._runs.read(principal, answer.run_id)
            model = model or earlier.model
            generation = earlier.generation if generation == AS_USUAL else generation
        again = AnswerAgain(
            question.thread_id,
            question.id,
            self._runs.allot(),
            (model,) if model else (),
            generation,
            chat.idempotency_key,
            chat.request,
        )
        return await self._runs.answer_again(principal, again)

    async def _making_way(self, principal: Principal, open_it: Callable[[], Awaitable[Run]]) -> Run:
        """A client that has stopped listening has not stopped the run, and goes on as if it had: so a live run that
        nobody follows is stopped for it."""
        try:
            return await open_it()
        except ThreadBusy as busy:
            live = await self._runs.read(principal, RunId(busy.run_id))
            await self._conversations.make_way(principal, live.thread_id)
        return await open_it()

    async def _find(self, principal: Principal, ref: str, about: str) -> tuple[Message, Message | None] | None:
        """The message of the user's that its client knows by this id, and the one that answers it."""
        try:
            thread = await self.thread(principal, ref)
        except NotFound:
            return None
        after: MessageCursor | None = None
        behind: Message | None = None
        for _ in range(FAR_BACK):
            page = await self._conversations.messages(principal, thread.id, PageRequest(MAX_LIMIT, after, True))
            for message in page.items:
                if message.role is Role.USER and about in known_by(message):
                    return message, behind
                behind = message if message.role is Role.ASSISTANT else None
            if page.after is None:
                break
            after = MessageCursor.decode(page.after)
        return None

    async def history(self, principal: Principal, ref: str, page: PageRequest[MessageCursor]) -> Page[dict[str, Any]]:
        """The newest messages, or those before a cursor, oldest first, as their client has them. What a live run writes
        comes with its stream."""
        thread = await self.thread(principal, ref)
        found = await self._turns(principal, thread.id, page)
        overtaken = page.after is not None
        return Page(tuple(ui_messages(list(reversed(found.items)), overtaken=overtaken)), found.after)
