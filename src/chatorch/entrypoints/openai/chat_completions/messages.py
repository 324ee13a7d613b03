"""The history that a client sends, as ours. Raises `InvalidField`, with the place of what cannot be taken."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from chatorch.domain.model.call_answers import require_calls_answered
from chatorch.domain.model.calls import call_part, calls_in, result_part
from chatorch.domain.model.conversation import JsonObject, NewMessage, Role
from chatorch.domain.model.errors import InvalidField, ToolCallsOpen
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.text import blank
from chatorch.domain.model.tools import CallStatus
from chatorch.entrypoints.openai.chat_completions.call_ids import CallIds
from chatorch.entrypoints.openai.chat_completions.schema import MessageIn

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}
TEXTS = {"text": "text", "refusal": "refusal"}
"""Where a part of this type has its text."""
_OF_ROLES = {
    "refusal": Role.ASSISTANT,
    "tool_calls": Role.ASSISTANT,
    "annotations": Role.ASSISTANT,
    "reasoning_content": Role.ASSISTANT,
    "parsed": Role.ASSISTANT,
    "tool_call_id": Role.TOOL,
}
"""What only messages of one role have."""
_OWNERS = {Role.ASSISTANT: "is for messages of the assistant's", Role.TOOL: "is for results of tools"}
_USUAL = frozenset({"role", "content"})
_ABSENT: tuple[object, ...] = (None, "", [])
HINTS = frozenset({"type", "prompt_cache_breakpoint"})
"""What a part may have beside its text."""


class CallsOpen(ToolCallsOpen):
    """`field` is where they were asked for."""

    def __init__(self, field: str, call_ids: Sequence[str]) -> None:
        super().__init__(call_ids)
        self.field = field


def new_messages(messages: Sequence[MessageIn], metadata: JsonObject | None = None) -> tuple[NewMessage, ...]:
    """What says nothing is left out, but where it is the user's: `metadata` goes with the last of those.

    Raises `CallsOpen` as well.
    """
    ids = CallIds()
    taken = [_taken(f"messages.{index}", given, ids) for index, given in enumerate(messages)]
    _require_calls_answered(taken, ids)
    asked = next((at for at in reversed(range(len(taken))) if taken[at].role is Role.USER), None)
    if metadata and asked is not None:
        taken[asked] = replace(taken[asked], metadata=metadata)
    return tuple(each for each in taken if each.role is Role.USER or each.parts or not blank(each.content))


def _require_calls_answered(messages: Sequence[NewMessage], ids: CallIds) -> None:
    """By the places that they have before anything is left out, and by the ids that the client knows."""
    if not any(message.parts for message in messages):
        return
    try:
        require_calls_answered(messages)
    except ToolCallsOpen as error:
        raise CallsOpen(_place_of(error.call_ids, messages), [*map(ids.given, error.call_ids)]) from None


def _place_of(call_ids: Sequence[str], messages: Sequence[NewMessage]) -> str:
    """Where the last of them was asked for."""
    asked = (
        at for at, message in enumerate(messages) for call in calls_in(message.parts) if call.head["id"] in call_ids
    )
    return f"messages.{max(asked)}.tool_calls"


def _taken(place: str, given: MessageIn, ids: CallIds) -> NewMessage:
    role = ROLES.get(given.role)
    if role is None:
        raise InvalidField(f"{place}.role", f"must be one of {', '.join(ROLES)}")
    if not given.model_fields_set <= _USUAL:
        _require_members_of(role, place, given)
    text = "".join(_texts(f"{place}.content", given.content, role))
    match role:
        case Role.USER:
            ids.forget_open()
            if blank(text):
                raise InvalidField(f"{place}.content", "must not be blank")
        case Role.ASSISTANT:
            text = text or given.refusal or ""
            return NewMessage(role, text, parts=_with_calls(text, given, ids))
        case Role.TOOL:
            return NewMessage(role, "", parts=_result(place, text, given, ids))
    return NewMessage(role, text)


def _require_members_of(role: Role, place: str, given: MessageIn) -> None:
    for name, owner in _OF_ROLES.items():
        if role is not owner and getattr(given, name) not in _ABSENT:
            raise InvalidField(f"{place}.{name}", _OWNERS[owner])
    if given.name is not None and role is not Role.TOOL:  # that of a tool says nothing: its call has it
        raise InvalidField(f"{place}.name", "is not supported here")


def _with_calls(text: str, given: MessageIn, ids: CallIds) -> tuple[Part, ...]:
    """None where there are no calls."""
    if not given.tool_calls:
        return ()
    calls = (call_part(ids.asked(call.id), call.function.name, call.function.arguments) for call in given.tool_calls)
    return (Part(PartKind.TEXT, body=text), *calls)


def _result(place: str, text: str, given: MessageIn, ids: CallIds) -> tuple[Part, ...]:
    if given.tool_call_id is None:
        raise InvalidField(f"{place}.tool_call_id", "is required")
    if given.content is None:
        raise InvalidField(f"{place}.content", "is required")
    return (Part(PartKind.TEXT), result_part(ids.answered(given.tool_call_id), CallStatus.COMPLETED, text))


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
