"""The package's server for one request: it reads and writes threads, and what it answers with is a run of ours."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import structlog
from chatkit.actions import Action
from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.types import (
    ErrorEvent,
    FeedbackKind,
    NonStreamingReq,
    StreamingReq,
    SyncCustomActionResponse,
    Thread,
    ThreadItem,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
)

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.conversation import Message, MessageId, ThreadId
from chatorch.domain.model.errors import Conflict, InvalidField, NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MAX_LIMIT
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import AnswerAgain, StartChat
from chatorch.entrypoints.chatkit.answer import answer_events
from chatorch.entrypoints.chatkit.answering import CallAnswers, Heard, Said
from chatorch.entrypoints.chatkit.asked_calls import AskedCalls
from chatorch.entrypoints.chatkit.asking import INPUT, chat_of, model_of, title_of
from chatorch.entrypoints.chatkit.frames import Encoded, replaced
from chatorch.entrypoints.chatkit.part_items import message_id_of
from chatorch.entrypoints.chatkit.services import Services
from chatorch.entrypoints.chatkit.staged_store import StagedStore

log = structlog.get_logger(__name__)


class ThreadServer(ChatKitServer[Principal]):
    """For one request of one user, who is the context."""

    def __init__(self, services: Services, principal: Principal, request: StreamingReq | NonStreamingReq) -> None:
        self._services = services
        self._principal = principal
        self._allotted = services.runs.allot()
        self._staged = StagedStore(
            services.conversations,
            services.items,
            services.ids,
            services.runs.waited_for,
            allotted=self._allotted,
            retries=isinstance(request, ThreadsRetryAfterItemReq),
        )
        super().__init__(self._staged)
        self.head: list[bytes] = []
        self.rest: AsyncGenerator[bytes]
        self.run: Run | None = None
        self._asked: StartChat | AnswerAgain | Said | None = None
        self._answers = CallAnswers(services.runs, services.items, self._staged.calls)
        self._heard: Heard | None = None
        self._answering: AsyncGenerator[Encoded] | None = None

    # -- the two kinds of requests ---------------------------------------------------------------------------------

    async def answer(self, request: NonStreamingReq) -> bytes:
        try:
            return await self._process_non_streaming(request, self._principal)
        except ValueError:
            if not isinstance(request, ThreadsSyncCustomActionReq):
                raise
            raise InvalidField("params.item_id", "is not a widget's") from None

    async def prepare(self, request: StreamingReq) -> None:
        """Loads and checks what is asked for, so that what goes wrong is an error and no broken stream.

        Then makes way for it. Nothing is stored yet.
        """
        self.rest = self._process_streaming(request, self._principal)
        try:
            self.head = await self._loaded(request)
            self._asked = await self._what_is_asked(request)
            if isinstance(self._asked, StartChat | AnswerAgain) and self._asked.thread_id is not None:
                await self._services.conversations.make_way(self._principal, self._asked.thread_id)
        except BaseException:
            await self.rest.aclose()
            raise

    async def open(self) -> None:
        """Stores the message, and opens the run that answers it."""
        try:
            match self._asked:
                case StartChat():
                    self.run = await self._services.runs.start(self._principal, self._asked)
                case AnswerAgain():
                    self.run = await self._services.runs.answer_again(self._principal, self._asked)
                case Said():
                    await self._hear(self._asked)
                    return
                case None:
                    return
        except BaseException:
            await self.rest.aclose()
            raise
        self._staged.opened(self._title())

    async def _hear(self, said: Said) -> AskedCalls:
        self._heard = await self._answers.hear(self._principal, said, self._allotted.now)
        self.run = self._heard.run
        return self._heard.asked

    async def leave(self) -> None:
        """At once, so that the run knows that one follower less is there; the package would leave it to chance."""
        if self._answering is not None:
            await self._answering.aclose()

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def _loaded(self, request: StreamingReq) -> list[bytes]:
        """The frames until the package tells of its options: so long it only loads."""
        if isinstance(request, ThreadsAddClientToolOutputReq):
            return await self._loaded_for_output(request)
        try:
            return await _head(self.rest)
        except ValueError:  # the package's own, for an answer to what was not asked
            match request:
                case ThreadsRetryAfterItemReq():
                    raise InvalidField("params.item_id", "must be a message of the user's") from None
                case ThreadsAddStructuredInputReq():
                    return [self._refusal()]
            raise

    async def _loaded_for_output(self, request: ThreadsAddClientToolOutputReq) -> list[bytes]:
        """Past the package, which looks for the call in what a thread ends with, and deletes others that are open."""
        thread = await self._staged.load_thread(request.params.thread_id, self._principal)
        said = await self._answers.output(self._principal, ThreadId(thread.id), request.params.result)
        await self.rest.aclose()
        if said is None:
            return [self._refusal()]
        self._asked = said
        self.rest = self._frames(self._process_events(thread, self._principal, self._follow))
        return await _head(self.rest)

    async def _frames(self, events: AsyncIterator[Any]) -> AsyncGenerator[bytes]:
        async for event in events:
            yield b"data: %b\n\n" % self._serialize(event)

    async def _what_is_asked(self, request: StreamingReq) -> StartChat | AnswerAgain | Said | None:
        thread = self._staged.thread
        if thread is not None and thread.status.type != "active":
            raise Conflict(f"The thread is {thread.status.type}.")
        match request:
            case ThreadsRetryAfterItemReq():
                return await self._again(ThreadId(request.params.thread_id), MessageId(request.params.item_id))
            case ThreadsCreateReq() | ThreadsAddUserMessageReq():
                chat = chat_of(cast("UserMessageItem", self._staged.message), _thread_of(request), self._allotted)
                try:
                    self._services.runs.check(self._principal, chat)
                except InvalidField as error:
                    raise InvalidField(f"{INPUT}.content", error.problem) from None
                return chat
            case ThreadsCustomActionReq(params=pressed) if _goes_on(self.head):
                return await self._answers.decision(self._principal, ThreadId(pressed.thread_id), pressed.action)
        return self._asked

    async def _again(self, thread_id: ThreadId, message_id: MessageId) -> AnswerAgain:
        """By the model that answered it before, if it may; else by the one that it asked for."""
        message = cast("UserMessageItem", await self._staged.load_item(thread_id, message_id, self._principal))
        after = await self._services.items.page(self._principal, thread_id, limit=1, after=message_id)
        models = [model_of(message)]
        match after.items:
            case (NotedMessage(message=Message(run_id=str(run_id))),):
                models.insert(0, (await self._services.runs.read(self._principal, run_id)).model)
        return AnswerAgain(thread_id, message_id, self._allotted, tuple(model for model in models if model))

    def _title(self) -> str:
        return title_of(self._staged.message) if self._staged.message else ""

    # -- what the package asks for ---------------------------------------------------------------------------------

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Principal
    ) -> AsyncIterator[Any]:
        """Follows the run that is open by now."""
        async for event in self._follow():
            yield event
            if thread.title is None:  # its first message gave it one
                thread.title = self._title()

    async def _follow(self) -> AsyncIterator[Any]:
        if self.run is None and self._heard is None:
            raise _unhandled()
        earlier = self._heard.asked.earlier if self._heard else None
        for item in earlier.items() if earlier else ():
            yield replaced(item)
        if self.run is None:
            return
        self._answering = answer_events(self.run, self._services.runs.events(self.run), earlier)
        try:
            async with aclosing(self._answering) as events:
                async for event in events:
                    yield event
        except CustomStreamError:
            raise
        except Exception as error:
            log.error("chatkit_failed", exc_info=error)  # noqa: TRY400  # its text stays out
            raise CustomStreamError("An error occurred", allow_retry=True) from None

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: Principal
    ) -> None:
        """Leaving is not stopping: the run goes on, and its message is its own."""

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Principal
    ) -> None:
        if len(item_ids) > MAX_LIMIT:
            raise InvalidField("params.item_ids", f"must be at most {MAX_LIMIT}")
        rated = list(dict.fromkeys(map(message_id_of, item_ids)))
        await self._services.items.rate(context, ThreadId(thread_id), rated, feedback)

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Principal
    ) -> AsyncIterator[Any]:
        async for event in self._follow():
            yield event

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Principal
    ) -> SyncCustomActionResponse:
        """The item as it stands now; nobody follows the run."""
        said = await self._answers.decision(context, ThreadId(thread.id), action)
        if said is None:
            raise InvalidField("params.action.type", "is an action that nothing here handles")
        earlier = (await self._hear(said)).earlier
        return SyncCustomActionResponse.model_validate({"updated_item": earlier.item(said.answer.call_id)})

    async def _build_user_message_item(
        self, input: UserMessageInput, thread: ThreadMetadata, context: Principal
    ) -> UserMessageItem:
        item = await super()._build_user_message_item(input, thread, context)
        return item.model_copy(update={"created_at": self._allotted.now})

    def _to_thread_response(self, thread: ThreadMetadata | Thread) -> Thread:
        if thread.id == self._allotted.thread_id:
            thread.created_at = self._allotted.now
        return super()._to_thread_response(thread)

    def _serialize(self, obj: Any) -> bytes:
        return obj.data if type(obj) is Encoded else super()._serialize(obj)

    def _refusal(self) -> bytes:
        error = ErrorEvent(code="custom", message=_unhandled().message, allow_retry=False)
        return b"data: %b\n\n" % self._serialize(error)


async def _head(frames: AsyncGenerator[bytes]) -> list[bytes]:
    """Raises `NotFound` where the package has nothing to tell: the item of a retry is not there."""
    head = []
    async for frame in frames:
        head.append(frame)
        if _goes_on(head):
            return head
    if not head:
        raise NotFound
    return head


def _goes_on(head: list[bytes]) -> bool:
    return head[-1].startswith(b'data: {"type":"stream_options"')


def _thread_of(request: ThreadsCreateReq | ThreadsAddUserMessageReq) -> ThreadId | None:
    return None if isinstance(request, ThreadsCreateReq) else ThreadId(request.params.thread_id)


def _unhandled() -> CustomStreamError:
    return CustomStreamError("Nothing here handles this.", allow_retry=False)
