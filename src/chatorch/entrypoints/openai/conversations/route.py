"""Conversations and their items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    Thread,
    ThreadId,
)
from chatorch.domain.model.errors import IdempotencyKeyReused, InvalidField, NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.policy import MAX_CONTENT_CHARS, ChatPolicy
from chatorch.domain.model.text import blank
from chatorch.domain.model.titles import title_from
from chatorch.domain.services.annotations import Annotations
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.pages import Limit
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.views import Json, json_response
from chatorch.entrypoints.openai.conversations.once import Once
from chatorch.entrypoints.openai.conversations.schema import CreateConversation, CreateItems, UpdateConversation
from chatorch.entrypoints.openai.responses.given import (
    AnnotationsDep,
    ClockDep,
    ConversationsDep,
    IdsDep,
    PolicyDep,
    RunsDep,
    nothing_more,
)
from chatorch.entrypoints.openai.responses.ids import conversation_id as id_of
from chatorch.entrypoints.openai.responses.ids import thread_id_of
from chatorch.entrypoints.openai.responses.inputs import Inputs, inputs
from chatorch.entrypoints.openai.responses.listing import Items, Wanted, item_views, list_view
from chatorch.entrypoints.openai.responses.route import UNTITLED
from chatorch.entrypoints.openai.strict import OpenAIRoute
from chatorch.ports.system import Clock, IdFactory
from chatorch.ports.threads import ThreadChange

LIST = problems(401, 403, 503)
ONE = problems(401, 403, 404, 409, 503)

router = APIRouter(prefix="/v1/conversations", tags=["openai"], route_class=OpenAIRoute)
MORE = [Depends(nothing_more)]


@dataclass(frozen=True, slots=True)
class _Adding:
    """What is put at a thread's end."""

    annotations: Annotations
    policy: ChatPolicy
    ids: IdFactory
    clock: Clock

    def read(self, items: object) -> Inputs:
        """Raises `InvalidField`."""
        said = inputs(items, "items")
        if said.answers:
            raise InvalidField(f"{said.answers[0].field}.type", "can only be message here")
        for number, message in enumerate(said.messages):
            field = said.named(f"messages.{number}")
            if message.parts:
                raise InvalidField(f"{field}.type", "can only be message here")
            if blank(message.content) or len(message.content) > MAX_CONTENT_CHARS:
                raise InvalidField(f"{field}.content", f"must be 1 to {MAX_CONTENT_CHARS} characters, and not blank")
            if message.role is Role.SYSTEM and not self.policy.client_system:
                raise InvalidField(f"{field}.role", f"{message.role} is not allowed here")
        return said

    def messages(self, once: Once, thread_id: ThreadId, said: Sequence[NewMessage]) -> list[Message]:
        return [
            Message(
                id=once.message_id(thread_id, number),
                thread_id=thread_id,
                position=0,
                role=new.role,
                content=new.content,
                status=MessageStatus.COMPLETE,
                created_at=self.clock.now(),
            )
            for number, new in enumerate(said)
        ]

    async def require_same(self, principal: Principal, once: Once, thread_id: ThreadId, given: list[Message]) -> None:
        """Raises `IdempotencyKeyReused` where something else came by the key, or has changed since."""
        if once.key is None:
            return
        for message in given:
            there = await self._read(principal, thread_id, message.id)
            if there is None or (there.role, there.content) != (message.role, message.content):
                raise IdempotencyKeyReused
        if await self._read(principal, thread_id, once.message_id(thread_id, len(given))):
            raise IdempotencyKeyReused

    async def _read(self, principal: Principal, thread_id: ThreadId, message_id: MessageId) -> Message | None:
        try:
            item = await self.annotations.read(principal, thread_id, message_id)
        except NotFound:
            return None
        return item.message if isinstance(item, NotedMessage) else None


async def _adding(annotations: AnnotationsDep, policy: PolicyDep, ids: IdsDep, clock: ClockDep) -> _Adding:
    return _Adding(annotations, policy, ids, clock)


async def _items(conversation_id: str, principal: SignedIn, annotations: AnnotationsDep, runs: RunsDep) -> Items:
    return Items(principal, thread_id_of(conversation_id), annotations, runs)


Adding = Annotated[_Adding, Depends(_adding)]
ItemsDep = Annotated[Items, Depends(_items)]


@router.post("", response_class=Response, responses=LIST)
async def create_conversation(
    principal: SignedIn,
    conversations: ConversationsDep,
    adding: Adding,
    body: CreateConversation | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """A new one, with these messages; it is listed among the threads at once."""
    body = body or CreateConversation()
    said = adding.read(body.items).messages if body.items else ()
    asked = next((message.content for message in said if message.role is Role.USER), None)
    once = Once(adding.ids, principal.user_id, key)
    thread_id = once.thread_id()
    messages = adding.messages(once, thread_id, said)
    title = UNTITLED if asked is None else title_from(asked)
    thread = await conversations.open(principal, thread_id, title, body.metadata, messages)
    await adding.require_same(principal, once, thread_id, messages)
    if thread.metadata != (body.metadata or {}):
        raise IdempotencyKeyReused
    return json_response(_view(thread))


@router.get("/{conversation_id}", response_class=Response, responses=ONE)
async def read_conversation(conversation_id: str, principal: SignedIn, conversations: ConversationsDep) -> Response:
    return json_response(_view(await conversations.thread(principal, thread_id_of(conversation_id))))


@router.post("/{conversation_id}", response_class=Response, responses=ONE)
async def update_conversation(
    conversation_id: str, body: UpdateConversation, principal: SignedIn, conversations: ConversationsDep
) -> Response:
    change = ThreadChange(metadata=body.metadata or {})
    return json_response(_view(await conversations.change(principal, thread_id_of(conversation_id), change)))


@router.delete("/{conversation_id}", response_class=Response, responses=ONE)
async def delete_conversation(conversation_id: str, principal: SignedIn, conversations: ConversationsDep) -> Response:
    """With all that is in it; a response that is still going on is cancelled."""
    await conversations.delete(principal, thread_id_of(conversation_id))
    return json_response({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


@router.post("/{conversation_id}/items", response_class=Response, responses=ONE, dependencies=MORE)
async def create_items(
    conversation_id: str,
    body: CreateItems,
    principal: SignedIn,
    adding: Adding,
    conversations: ConversationsDep,
    key: IdempotencyKey = None,
) -> Response:
    """Puts messages at its end, all of them or none, and answers none."""
    thread_id = thread_id_of(conversation_id)
    once = Once(adding.ids, principal.user_id, key)
    messages = adding.messages(once, thread_id, adding.read(body.items).messages)
    await conversations.add(principal, thread_id, messages)
    await adding.require_same(principal, once, thread_id, messages)
    added = [view for message in messages for view in item_views(message)]
    return json_response(list_view(added, has_more=False))


@router.get("/{conversation_id}/items", response_class=Response, responses=ONE, dependencies=MORE)
async def list_items(
    items: ItemsDep, limit: Limit = 20, after: str | None = None, order: Literal["asc", "desc"] = "desc"
) -> Response:
    """What is in it, the newest first."""
    return json_response(await items.page(Wanted(limit, after, order == "desc")))


@router.get("/{conversation_id}/items/{item_id}", response_class=Response, responses=ONE, dependencies=MORE)
async def read_item(item_id: str, items: ItemsDep) -> Response:
    return json_response(await items.read(item_id))


@router.delete("/{conversation_id}/items/{item_id}", response_class=Response, responses=ONE)
async def delete_item(
    conversation_id: str,
    item_id: str,
    principal: SignedIn,
    items: ItemsDep,
    annotations: AnnotationsDep,
    conversations: ConversationsDep,
) -> Response:
    """Takes the message out in which the item is: all items of an answer go together. Gives back the conversation."""
    thread_id = thread_id_of(conversation_id)
    message = await items.message_of(item_id)
    await annotations.remove(principal, thread_id, message.id)
    return json_response(_view(await conversations.thread(principal, thread_id)))


def _view(thread: Thread) -> Json:
    return {
        "id": id_of(thread.id),
        "object": "conversation",
        "created_at": int(thread.created_at.timestamp()),
        "metadata": thread.metadata,
    }
