"""The history that a client sends, as ours. Raises `InvalidField`, with the place of what cannot be taken."""

from collections.abc import Iterator, Sequence
from typing import Any

from chatorch.domain.model.conversation import JsonObject, NewMessage, Role
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.text import blank
from chatorch.entrypoints.openai.chat_completions.schema import MessageIn

ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
TEXTS = {"text": "text", "refusal": "refusal"}
"""Where a part of this type has its text."""
_OURS = ("annotations", "reasoning_content")
"""What an answer of ours may bring back."""
HINTS = frozenset({"type", "prompt_cache_breakpoint"})
"""What a part may have beside its text."""


def new_messages(messages: Sequence[MessageIn], metadata: JsonObject | None = None) -> tuple[NewMessage, ...]:
    """What says nothing is left out, but where it is the user's: `metadata` goes with the last of them."""
    taken = [message for index, given in enumerate(messages) for message in _taken(f"messages.{index}", given)]
    if metadata and taken:
        last = taken[-1]
        taken[-1] = NewMessage(last.role, last.content, metadata=metadata)
    return tuple(taken)


def _taken(place: str, given: MessageIn) -> Iterator[NewMessage]:
    role = ROLES.get(given.role)
    if role is None:
        raise InvalidField(f"{place}.role", f"must be one of {', '.join(ROLES)}")
    if given.refusal is not None and role is not Role.ASSISTANT:
        raise InvalidField(f"{place}.refusal", "is for messages of the assistant's")
    if given.tool_call_id is not None:
        raise InvalidField(f"{place}.tool_call_id", "is for results of tools, and there are none here")
    if role is not Role.ASSISTANT:
        for name in _OURS:
            if getattr(given, name):
                raise InvalidField(f"{place}.{name}", "is for messages of the assistant's")
    text = "".join(_texts(f"{place}.content", given.content, role)) or given.refusal or ""
    if not blank(text):
        yield NewMessage(role, text)
    elif role is Role.USER:
        raise InvalidField(f"{place}.content", "must not be blank")


def _texts(place: str, content: Any, role: Role) -> Iterator[str]:
    match content:
        case None:
            return
        case str():
            yield content
        case list():
            for index, part in enumerate(content):
                yield _text(f"{place}.{index}", part, role)
        case _:
            raise InvalidField(place, "must be a text, or a list of parts")


def _text(place: str, part: Any, role: Role) -> str:
    if not isinstance(part, dict):
        raise InvalidField(place, "must be an object")
    kind = part.get("type")
    name = TEXTS.get(kind) if isinstance(kind, str) else None
    if name is None or (name == "refusal" and role is not Role.ASSISTANT):
        raise InvalidField(f"{place}.type", "can only be text here")
    if not isinstance(text := part.get(name), str):
        raise InvalidField(f"{place}.{name}", "must be a text")
    if part.keys() - HINTS - {name}:
        raise InvalidField(place, f"can only have type and {name} here")
    return text
