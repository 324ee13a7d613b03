"""ChatKit's items as ours and back. What ours cannot say is noted beside it, so that each reads back equal."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    InferenceOptions,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
    WorkflowItem,
)
from chatkit.types import ThreadItem as ChatKitItem
from chatkit.widgets import BasicRoot, Card, DynamicWidgetRoot, ListView
from pydantic import BaseModel, TypeAdapter

from chatorch.domain.model.annotations import NotedMessage, SideItem, ThreadItem
from chatorch.domain.model.calls import Standing
from chatorch.domain.model.conversation import (
    JsonObject,
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    SideItemId,
    ThreadId,
)
from chatorch.domain.model.parts import PartKind
from chatorch.entrypoints.chatkit.answer_texts import said_steps
from chatorch.entrypoints.chatkit.call_items import call_item
from chatorch.entrypoints.chatkit.call_states import CallStates
from chatorch.entrypoints.chatkit.kept_answers import is_kept_answer
from chatorch.entrypoints.chatkit.part_items import workflow_item

_PLACED = ("id", "thread_id", "created_at")
_ROOTS = {kind.__name__: kind for kind in (Card, ListView, BasicRoot, DynamicWidgetRoot)}

_ITEMS_OF_CALLS: dict[str, type[ClientToolCallItem | WorkflowItem | WidgetItem]] = {
    "client_tool_call": ClientToolCallItem,
    "workflow": WorkflowItem,
    "widget": WidgetItem,
}

_items: TypeAdapter[ChatKitItem] = TypeAdapter(ChatKitItem)


def to_chatkit(item: ThreadItem, calls: CallStates | None = None) -> list[ChatKitItem]:
    """A message's parts other than text are items of their own.

    `calls`: how its calls stand, where more is known of that than the message says.
    """
    if isinstance(item, SideItem):
        return [] if is_kept_answer(item) else [_from_side(item)]
    message = item.message
    placed: dict[str, Any] = {"id": message.id, "thread_id": message.thread_id, "created_at": message.created_at}
    match message.role:
        case Role.USER:
            own = item.note is not None and "content" in item.note  # other doors note other things
            note = item.note if own else {"content": [UserMessageTextContent(text=message.content)]}
            return [
                UserMessageItem.model_validate({"attachments": [], "inference_options": {}, **(note or {}), **placed})
            ]
        case Role.ASSISTANT if message.parts and not item.note:
            states = calls or CallStates(message.parts, Standing.behind(message, ()))
            return list(_from_parts(message, placed, states))
        case Role.ASSISTANT:
            note = item.note or {"content": _parts(message.content)}
            return [AssistantMessageItem.model_validate({**note, **placed})]
        case Role.SYSTEM:
            return [HiddenContextItem(content=message.content, **placed)]
        case Role.TOOL:
            return []  # its results are told with their calls


def _from_parts(message: Message, placed: dict[str, Any], calls: CallStates) -> Iterator[ChatKitItem]:
    """As they are told live: all texts of a step stand where its first one is, a call when it is whole."""
    content, over = message.whole, message.status is not MessageStatus.STREAMING
    said = {step.place: step for step in said_steps(message.id, content.parts)}
    for index, part in content.shown():
        match part.kind:
            case PartKind.TEXT if step := said.get(index):
                item = {**placed, "id": step.item_id, "content": step.contents}
                yield AssistantMessageItem.model_validate(item)
            case PartKind.REASONING:
                yield WorkflowItem.model_validate({**placed, **workflow_item(message.id, index, part, over=over)})
            case PartKind.TOOL_CALL if part.closed or over:
                call = {**placed, **call_item(message.id, index, part, calls.of(part))}
                yield _ITEMS_OF_CALLS[call["type"]].model_validate(call)


def from_chatkit(item: ChatKitItem) -> ThreadItem:
    if isinstance(item, UserMessageItem):
        new = new_message(item)
        return _noted(item, Role.USER, new.content, new.note)
    if isinstance(item, AssistantMessageItem):
        text = "".join(part.text for part in item.content)
        plain = item.content == _parts(text)
        return _noted(item, Role.ASSISTANT, text, None if plain else _dumped(item))
    body = _widget_body(item) if isinstance(item, WidgetItem) else _dumped(item)
    return SideItem(SideItemId(item.id), ThreadId(item.thread_id), body, aware(item.created_at))


def new_message(item: UserMessageItem) -> NewMessage:
    """What the model is to see, what was quoted above it; and what was sent, where that is more."""
    text = "".join(part.text for part in item.content)
    quoted = "".join(f"> {line}\n" for line in (item.quoted_text or "").splitlines())
    plain = (
        item.content == [UserMessageTextContent(text=text)]
        and item.quoted_text is None
        and not item.attachments
        and item.inference_options == InferenceOptions()
    )
    content = f"{quoted}\n{text}" if quoted else text
    return NewMessage(Role.USER, content, note=None if plain else _dumped(item))


def aware(time: datetime) -> datetime:
    """The package's own times are local ones and do not say so."""
    return time.astimezone(UTC)


def _noted(item: UserMessageItem | AssistantMessageItem, role: Role, text: str, note: JsonObject | None) -> ThreadItem:
    message = Message(
        id=MessageId(item.id),
        thread_id=ThreadId(item.thread_id),
        position=0,
        role=role,
        content=text,
        status=MessageStatus.COMPLETE,
        created_at=aware(item.created_at),
    )
    return NotedMessage(message, note)


def _parts(text: str) -> list[AssistantMessageContent]:
    return [AssistantMessageContent(text=text)] if text else []


def _dumped(item: ChatKitItem) -> dict[str, Any]:
    return item.model_dump(mode="json", exclude=set(_PLACED))


def _widget_body(item: WidgetItem) -> JsonObject:
    """Past its serializer, which drops what is null; and with its class, which its data does not tell."""
    return {
        "type": item.type,
        "root": type(item.widget).__name__,
        "widget": _plain(item.widget),
        "copy_text": item.copy_text,
    }


def _from_side(item: SideItem) -> ChatKitItem:
    placed: dict[str, Any] = {"id": item.id, "thread_id": item.thread_id, "created_at": item.created_at}
    body: Mapping[str, Any] = item.body
    if "root" in body:
        widget = _ROOTS[body["root"]].model_validate(body["widget"])
        return WidgetItem(widget=widget, copy_text=body["copy_text"], **placed)
    return _items.validate_python({**body, **placed})


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(inner) for name, inner in {**value.__dict__, **(value.__pydantic_extra__ or {})}.items()}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
