"""Items that a client sends, as messages and as answers to calls. What an answer of ours was may come back as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chatorch.domain.model.conversation import JsonObject, NewMessage, Role
from chatorch.domain.model.errors import InvalidField, RoleNotAllowed
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.common.fields import MAX_MESSAGES
from chatorch.entrypoints.openai.responses import call_inputs as calls
from chatorch.entrypoints.openai.responses.call_inputs import AnswerIn, OutputIn
from chatorch.entrypoints.openai.strict import require_known

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}
_KNOWN = {"message": frozenset({"type", "role", "content", "id", "status", "phase"}), **calls.KNOWN}
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_PART = frozenset({"type", "text", "refusal", "annotations", "logprobs", "parsed", "prompt_cache_breakpoint"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """`places` are where the messages stood; an item that says nothing has none. `answers` are for calls that wait in
    what was said before."""

    field: str
    messages: tuple[NewMessage, ...]
    places: tuple[int, ...] | None = None
    answers: tuple[AnswerIn, ...] = ()

    def named(self, field: str) -> str:
        """What a message's field is called in the request: ``messages.0.content`` is ``input.0.content``."""
        first, _, rest = field.partition(".")
        if first != "messages":
            return field
        number, _, last = rest.partition(".")
        if self.places is None or not number.isdigit() or int(number) >= len(self.places):
            return self.field
        return ".".join(filter(None, (self.field, str(self.places[int(number)]), last)))

    def noted(self, note: JsonObject | None) -> "Inputs":
        """With this kept."""
        return self.with_the_users(note=note) if note else self

    def with_the_users(self, **more: Any) -> "Inputs":
        """The last message of the user's, which is the one that is answered, with this as well."""
        at = next((at for at in reversed(range(len(self.messages))) if self.messages[at].role is Role.USER), None)
        if at is None:
            return self
        before, asked, after = self.messages[:at], self.messages[at], self.messages[at + 1 :]
        return replace(self, messages=(*before, replace(asked, **more), *after))

    def refused(self, error: InvalidField | RoleNotAllowed) -> InvalidField:
        """The same, in words of the request."""
        if isinstance(error, InvalidField):
            return InvalidField(self.named(error.field), error.problem)
        field, _, problem = error.detail.partition(": ")
        return InvalidField(self.named(field), problem or error.detail)


def inputs(
    given: object,
    field: str = "input",
    *,
    metadata: Mapping[str, Any] | None = None,
    continues: bool = False,
) -> Inputs:
    """`metadata` is of the last message of the user's. Where it `continues`, a call that comes back is known already,
    and what is said to it is an answer. Raises `InvalidField`, which names the item."""
    last = dict(metadata or {})
    if isinstance(given, str):
        return Inputs(field, (NewMessage(Role.USER, given, metadata=last),))
    if not isinstance(given, list):
        raise InvalidField(field, "must be text, or a list of items")
    if len(given) > MAX_MESSAGES:
        raise InvalidField(field, f"must be at most {MAX_MESSAGES} items")
    read = _Reading(continues=continues)
    for place, item in enumerate(given):
        read.add(place, item, f"{field}.{place}")
    messages = read.messages
    if not messages and not read.answers:
        raise InvalidField(field, "must have a message")
    said = Inputs(field, tuple(messages), tuple(read.places), tuple(read.answers))
    return said.with_the_users(metadata=last) if last else said


class _Reading:
    """Items, one after the other. Calls belong to the assistant's message before them, if they follow it."""

    def __init__(self, *, continues: bool) -> None:
        self.messages: list[NewMessage] = []
        self.places: list[int] = []
        self.answers: list[AnswerIn] = []
        self._continues = continues
        self._calls: set[str] = set()

    def add(self, place: int, item: object, field: str) -> None:
        if not isinstance(item, dict):
            raise InvalidField(field, "must be an object")
        match _kind(item, field):
            case calls.CALL:
                self._call(place, calls.call_in(item, field))
            case calls.OUTPUT:
                self._output(place, calls.output_in(item, field))
            case calls.OUR_CALL:
                if not self._continues and (told := calls.our_call_in(item, field)):
                    self._call(place, told[0])
                    self._put(place, calls.result(told[1]))
            case calls.RESPONSE:
                self.answers.append(calls.approval_in(item, field))
            case "message":
                if message := _message(item, field):
                    self._put(place, message)

    def _call(self, place: int, call: Part) -> None:
        if self._continues:
            return
        self._calls.add(str(call.head["id"]))
        if self.messages and self.messages[-1].role is Role.ASSISTANT:
            before = self.messages[-1]
            parts = before.parts or (Part(PartKind.TEXT, body=before.content),)
            self.messages[-1] = replace(before, parts=(*parts, call))
            return
        self._put(place, calls.calling("", call))

    def _output(self, place: int, output: OutputIn) -> None:
        if output.call_id in self._calls:
            self._put(place, calls.result(calls.output_result(output)))
        else:
            self.answers.append(output)

    def _put(self, place: int, message: NewMessage) -> None:
        self.messages.append(message)
        self.places.append(place)


def _kind(item: Mapping[str, Any], field: str) -> str:
    kind = item.get("type", "message")
    if kind == "reasoning":
        return "reasoning"
    if not isinstance(kind, str) or kind not in _KNOWN:
        raise InvalidField(f"{field}.type", f"can only be one of {', '.join(_KNOWN)}, reasoning here")
    require_known(item, _KNOWN[kind], field)
    return kind


def _message(item: Mapping[str, Any], field: str) -> NewMessage | None:
    """None for an answer without words, which the model is not told again."""
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
