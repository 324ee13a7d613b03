"""What a thread holds for a door that knows more than messages."""

from dataclasses import dataclass
from datetime import datetime

from chatorch.domain.model.conversation import JsonObject, Message, SideItemId, ThreadId


@dataclass(frozen=True, slots=True)
class NotedMessage:
    """A message, and what a door has noted with it."""

    message: Message
    note: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class SideItem:
    """Something beside the messages, in its place between them. Its body is the door's own."""

    id: SideItemId
    thread_id: ThreadId
    body: JsonObject
    created_at: datetime


ThreadItem = NotedMessage | SideItem


def item_id(item: ThreadItem) -> str:
    return item.message.id if isinstance(item, NotedMessage) else item.id


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some of a thread's items, and whether there are more in that direction."""

    items: tuple[ThreadItem, ...]
    has_more: bool
