"""What is said: threads, messages and what an answer cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from chatorch.domain.model.content import Content
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import Part

ThreadId = NewType("ThreadId", str)
MessageId = NewType("MessageId", str)
RunId = NewType("RunId", str)
SideItemId = NewType("SideItemId", str)

OUR_THREADS = "thr_"
"""So our own ids of threads begin, and no client's."""

JsonObject = Mapping[str, Any]


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


OF_ANSWERS = frozenset({Role.ASSISTANT, Role.TOOL})
"""What is said to a message of the user's."""


class MessageStatus(StrEnum):
    """`streaming` while a run writes it; `incomplete` when the run ended before the model did.

    A message of the user's is `incomplete` while the provider's refusal of it stands.
    """

    STREAMING = "streaming"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


class UsageSource(StrEnum):
    PROVIDER = "provider"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, and whether the provider counted them or we guessed.

    Of the prompt's tokens `cached_tokens` were cheaper; of the completion's `reasoning_tokens` are no part of the text.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    source: UsageSource
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Of both together; guessed, where one of them is: one that nobody was asked for is no guess."""
        guessed = any(each.source is UsageSource.ESTIMATED for each in (self, other) if each.prompt_tokens)
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
            UsageSource.ESTIMATED if guessed else UsageSource.PROVIDER,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """One linear conversation. Threads list by `(updated_at, id)`, newest first.

    `client_ref` is the client's own id for it, unique among its owner's. One that is not `stored` is not listed, and
    removed after a while.
    """

    id: ThreadId
    owner_id: UserId
    title: str
    metadata: JsonObject
    created_at: datetime
    updated_at: datetime
    client_ref: str | None = None
    stored: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread. `position` is unique in the thread and rises; order and cursors use nothing else.

    `content` is all text of it; `parts` are all its parts, none where it is nothing but text.
    """

    id: MessageId
    thread_id: ThreadId
    position: int
    role: Role
    content: str
    status: MessageStatus
    created_at: datetime
    run_id: RunId | None = None
    metadata: JsonObject = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def whole(self) -> Content:
        return Content(self.parts) if self.parts else Content.of(self.content)

    def holding(self, content: Content) -> "Message":
        """The same with another content."""
        return replace(self, content=content.text, parts=() if content.text_only else content.parts)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that a client sends, not yet placed in a thread.

    `timestamp` is the client's own word for when it was written: kept, never used. So is `note`, which a door may keep
    with a message whose form is richer than ours. `parts` are all its parts, none where it is nothing but text.
    """

    role: Role
    content: str
    timestamp: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None
    parts: tuple[Part, ...] = ()


def refused(message: Message) -> bool:
    """Whether the provider refused this message of the user's, without a word; a retry of its run takes that back."""
    return message.role is Role.USER and message.status is MessageStatus.INCOMPLETE


def estimate_tokens(text: str) -> int:
    """A guess where the provider counts nothing: four UTF-8 bytes a token, at least one for any text."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4
