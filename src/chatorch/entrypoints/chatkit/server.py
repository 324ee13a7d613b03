"""The package's server for one request: it reads and writes threads, and what it answers with is a run of ours."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
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
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
)

from chatorch.domain.model.conversation import MessageId, ThreadId, title_from
from chatorch.domain.model.errors import Conflict, InvalidField, NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import AnswerAgain, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.items import Items
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.chatkit.answer import answer_events
from chatorch.entrypoints.chatkit.frames import Encoded
from chatorch.entrypoints.chatkit.items import new_message
from chatorch.entrypoints.chatkit.turn import TurnItems
from chatorch.entrypoints.http.schemas import MAX_MODEL_CHARS
from chatorch.ports.system import IdFactory

INPUT = "params.input"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind this door."""

    runs: Runs
    conversations: Conversations
    items: Items
    ids: IdFactory
    counted: Callable[[], AbstractContextManager[object]]


class ThreadServer(ChatKitServer[Principal]):
    """For one request of one user, who is the context."""

    def __init__(self, behind: Behind, principal: Principal, request: StreamingReq | NonStreamingReq) -> None:
        self._behind = behind
        self._principal = principal
        self._request = request
        self._allotted = behind.runs.allot()
        self._turn = TurnItems(
            behind.conversations,
            behind.items,
            behind.ids,
            allotted=self._allotted,
            retries=isinstance(request, ThreadsRetryAfterItemReq),
        )
        super().__init__(self._turn)
        self.run: Run | None = None
        self._answering: AsyncGenerator[Encoded] | None = None

    # -- the two kinds of requests ---------------------------------------------------------------------------------

    async def answer(self, request: NonStreamingReq) -> bytes:
        try:
            return await self._process_non_streaming(request, self._principal)
        except ValueError:  # the package's own, for an action whose sender is no widget
            raise InvalidField("params.item_id", "is not a widget's") from None

    async def begin(self, request: StreamingReq) -> tuple[list[bytes], AsyncGenerator[bytes]]:
        """Loads what is asked for and opens the run, so that what goes wrong is an error and no broken stream.

        Returns the frames up to that, and the rest: until the package tells of its options it only loads.
        """
        if isinstance(request, ThreadsAddUserMessageReq | ThreadsRetryAfterItemReq):
            await self._behind.conversations.make_way(self._principal, ThreadId(request.params.thread_id))
        rest = self._process_streaming(request, self._principal)
        try:
            head = await _head(rest)
            self.run = await self._open(request)
        except ValueError:  # the package's own, for an answer to what was not asked
            await rest.aclose()
            if isinstance(request, ThreadsRetryAfterItemReq):
                raise InvalidField("params.item_id", "must be a message of the user's") from None
            return [self._refusal()], rest
        except BaseException:
            await rest.aclose()
            raise
        return head, rest

    async def leave(self) -> None:
        """At once, so that the run knows that one follower less is there; the package would leave it to chance."""
        if self._answering is not None:
            await self._answering.aclose()

    # -- opening the run -------------------------------------------------------------------------------------------

    async def _open(self, request: StreamingReq) -> Run | None:
        thread = self._turn.thread
        if thread is not None and thread.status.type != "active":
            raise Conflict(f"The thread is {thread.status.type}.")
        match request:
            case ThreadsCreateReq():
                run = await self._start(None)
            case ThreadsAddUserMessageReq():
                run = await self._start(ThreadId(request.params.thread_id))
            case ThreadsRetryAfterItemReq():
                run = await self._retry(request)
            case _:
                return None
        self._turn.opened(self._title())
        return run

    async def _start(self, thread_id: ThreadId | None) -> Run:
        message = cast("UserMessageItem", self._turn.message)
        if not any(part.text for part in message.content):
            raise InvalidField(f"{INPUT}.content", "must have a text")
        chat = StartChat(
            messages=(new_message(message),),
            thread_id=thread_id,
            model=_model(message),
            allotted=self._allotted,
        )
        try:
            return await self._behind.runs.start(self._principal, chat)
        except InvalidField as error:
            raise InvalidField(f"{INPUT}.content", error.problem) from None

    def _title(self) -> str:
        """Of a new thread."""
        message = self._turn.message
        return title_from(new_message(message).content) if message else ""

    async def _retry(self, request: ThreadsRetryAfterItemReq) -> Run:
        thread_id, message_id = ThreadId(request.params.thread_id), MessageId(request.params.item_id)
        message = cast("UserMessageItem", await self._turn.load_item(thread_id, message_id, self._principal))
        again = AnswerAgain(thread_id, message_id, self._allotted, _model(message))
        return await self._behind.runs.answer_again(self._principal, again)

    # -- what the package asks for ---------------------------------------------------------------------------------

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Principal
    ) -> AsyncIterator[Any]:
        """Follows the run that `begin` has opened."""
        if self.run is None:
            raise _unhandled()
        self._answering = answer_events(self.run, self._behind.runs.events(self.run))
        try:
            async with aclosing(self._answering) as events:
                async for event in events:
                    yield event
                    if thread.title is None:  # its first message gave it one
                        thread.title = self._title()
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
        await self._behind.items.rate(context, ThreadId(thread_id), item_ids, feedback)

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Principal
    ) -> AsyncIterator[Any]:
        raise _unhandled()
        yield  # makes it a generator, in which the package turns what is raised into an event

    async def sync_action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Principal
    ) -> SyncCustomActionResponse:
        raise InvalidField("params.action.type", "is an action that nothing here handles")

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
        if frame.startswith(b'data: {"type":"stream_options"'):
            return head
    raise NotFound


def _unhandled() -> CustomStreamError:
    return CustomStreamError("Nothing here handles this.", allow_retry=False)


def _model(message: UserMessageItem) -> str | None:
    model = message.inference_options.model
    if model is not None and not 1 <= len(model) <= MAX_MODEL_CHARS:
        raise InvalidField(f"{INPUT}.inference_options.model", f"must be 1 to {MAX_MODEL_CHARS} characters")
    return model
