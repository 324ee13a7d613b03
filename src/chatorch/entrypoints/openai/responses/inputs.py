"""Items that a client sends, as messages. What an answer of ours was may come back as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatorch.domain.model.conversation import NewMessage, Role
from chatorch.domain.model.errors import InvalidField, RoleNotAllowed
from chatorch.entrypoints.common.fields import MAX_MESSAGES
from chatorch.entrypoints.openai.strict import require_known

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}
_MESSAGE = frozenset({"type", "role", "content", "id", "status", "phase"})
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_PART = frozenset({"type", "text", "refusal", "annotations", "logprobs", "prompt_cache_breakpoint"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """`places` are where the messages stood; an item that says nothing has none."""

    field: str
    messages: tuple[NewMessage, ...]
    places: tuple[int, ...] | None = None

    def named(self, field: str) -> str:
        """What a message's field is called in the request: ``messages.0.content`` is ``input.0.content``."""
        first, _, rest = field.partition(".")
        if first != "messages":
            return field
        number, _, last = rest.partition(".")
        if self.places is None or not number.isdigit() or int(number) >= len(self.places):
            return self.field
        return ".".join(filter(None, (self.field, str(self.places[int(number)]), last)))

    def refused(self, error: InvalidField | RoleNotAllowed) -> InvalidField:
        """The same, in words of the request."""
        if isinstance(error, InvalidField):
            return InvalidField(self.named(error.field), error.problem)
        field, _, problem = error.detail.partition(": ")
        return InvalidField(self.named(field), problem or error.detail)


def inputs(given: object, field: str = "input", *, metadata: Mapping[str, Any] | None = None) -> Inputs:
    """`metadata` is the last message's. Raises `InvalidField`, which names the item."""
    last = dict(metadata or {})
    if isinstance(given, str):
        return Inputs(field, (NewMessage(Role.USER, given, metadata=last),))
    if not isinstance(given, list):
        raise InvalidField(field, "must be text, or a list of items")
    if len(given) > MAX_MESSAGES:
        raise InvalidField(field, f"must be at most {MAX_MESSAGES} items")
    found = [(place, message) for place, item in enumerate(given) if (message := _message(item, f"{field}.{place}"))]
    if not found:
        raise InvalidField(field, "must have a message")
    messages = [message for _, message in found]
    messages[-1] = NewMessage(messages[-1].role, messages[-1].content, metadata=last)
    return Inputs(field, tuple(messages), tuple(place for place, _ in found))


def _message(item: object, field: str) -> NewMessage | None:
    """None for what the model is not told again: what it thought, and an answer without words."""
    if not isinstance(item, dict):
        raise InvalidField(field, "must be an object")
    kind = item.get("type", "message")
    if kind == "reasoning":
        return None
    if kind != "message":
        raise InvalidField(f"{field}.type", "can only be message here: there are no tools, and no references")
    require_known(item, _MESSAGE, field)
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidField(f"{field}.role", f"must be one of {', '.join(_ROLES)}")
    text = _text(item.get("content"), f"{field}.content")
    if not text and role == "assistant":
        return None
    return NewMessage(_ROLES[role], text)


def _text(content: object, field: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidField(field, "must be text, or a list of parts")
    return "".join(_part(part, f"{field}.{index}") for index, part in enumerate(content))


def _part(part: object, field: str) -> str:
    if not isinstance(part, dict):
        raise InvalidField(field, "must be an object")
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _TEXTS:
        raise InvalidField(f"{field}.type", f"can only be text here: {', '.join(_TEXTS)}")
    require_known(part, _PART, field)
    text = part.get(_TEXTS[kind])
    if not isinstance(text, str):
        raise InvalidField(f"{field}.{_TEXTS[kind]}", "must be text")
    return text
