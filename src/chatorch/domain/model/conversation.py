"""What is said: threads, messages and what an answer cost."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from chatorch.domain.model.graphemes import graphemes
from chatorch.domain.model.identity import UserId

ThreadId = NewType("ThreadId", str)
MessageId = NewType("MessageId", str)
RunId = NewType("RunId", str)
SideItemId = NewType("SideItemId", str)

MAX_TITLE_CHARS = 80
UNTITLED = "New chat"
MAX_SEARCHED = 10_000
"""In so many characters something to see is looked for: an operator may let messages be large."""

_CONTROLS = frozenset({"Cc", "Cs"})
_UNSHOWN = re.compile(
    "[\u202a-\u202e\u2066-\u2069"  # turn the text around them, whose end may be cut off
    "\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0001\ufdd0-\ufdef\ufffe\uffff]"  # mean nothing in a title
)
_STRAY_TAGS = re.compile("(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+")
"""Tags that name no flag are hidden text."""

_UNSEEN = frozenset(
    # Braille without a dot; what joins graphemes; Hangul and Khmer letters that only fill a place
    "\u2800\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5"
    # What chooses a variant of the character before it
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that have a shape: number signs and the like (Unicode: Prepended_Concatenation_Mark)."""

JsonObject = Mapping[str, Any]


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


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
    """Tokens of one answer, and whether the provider counted them or we guessed."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    source: UsageSource


@dataclass(frozen=True, slots=True)
class Thread:
    """One linear conversation. Threads list by `(updated_at, id)`, newest first."""

    id: ThreadId
    owner_id: UserId
    title: str
    metadata: JsonObject
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a thread. `position` is unique in the thread and rises; order and cursors use nothing else."""

    id: MessageId
    thread_id: ThreadId
    position: int
    role: Role
    content: str
    status: MessageStatus
    created_at: datetime
    run_id: RunId | None = None
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that a client sends, not yet placed in a thread.

    `timestamp` is the client's own word for when it was written: kept, never used. So is `note`, which a door may keep
    with a message whose form is richer than ours.
    """

    role: Role
    content: str
    timestamp: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


def refused(message: Message) -> bool:
    """Whether the provider refused this message of the user's, without a word; a retry of its run takes that back."""
    return message.role is Role.USER and message.status is MessageStatus.INCOMPLETE


def blank(text: str) -> bool:
    """Whether nothing of it can be seen: white space, control and format characters, or none at all.

    By Unicode's categories Z, Cc and Cf, and what else it counts as ignorable by default. A format character within a
    text (a joiner in an emoji, or between letters) leaves the text visible.
    """
    return all(_unseen(character) for character in text)


def _unseen(character: str) -> bool:
    if character in _UNSEEN:
        return True
    category = unicodedata.category(character)
    return category[0] == "Z" or category == "Cc" or (category == "Cf" and character not in _SEEN)


def title_from(content: str) -> str:
    """A thread's first title: the first line with something to see, on one line, cut at a word where possible.

    What has no shape of its own stays where a sign is made with it: joiners, tags, variation selectors. Nothing that
    a reader takes for one character is cut in two.
    """
    line = next(
        (line for line in map(_on_one_line, content[:MAX_SEARCHED].splitlines()) if any(map(_has_shape, line))), ""
    )
    if len(line) <= MAX_TITLE_CHARS:
        return line or UNTITLED
    cut = ""
    for grapheme in graphemes(line):
        if len(cut) + len(grapheme) >= MAX_TITLE_CHARS:
            break
        cut += grapheme
    at_word = cut.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > MAX_TITLE_CHARS // 2 else cut) + "…" if cut else UNTITLED


def _on_one_line(line: str) -> str:
    kept = _STRAY_TAGS.sub("", _UNSHOWN.sub("", line))
    return " ".join("".join(c for c in kept if c.isspace() or unicodedata.category(c) not in _CONTROLS).split())


def _has_shape(char: str) -> bool:
    """What this Python does not know yet counts as such: most of it are new emoji."""
    category = unicodedata.category(char)
    return category[0] not in "CMZ" or category in {"Cn", "Co"}


def estimate_tokens(text: str) -> int:
    """A guess where the provider counts nothing: four UTF-8 bytes a token, at least one for any text."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4
