"""What the client says to the calls of tools that its message shows: outputs of its own tools, and decisions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.errors import InvalidField
from chatorch.entrypoints.ai_sdk.said import Call, Calls, text_of

UiMessage = dict[str, Any]

NO_QUESTION = "must end with one of the user's, or with one in whose last step are results of tools, or decisions"
_SAID = frozenset({"output-available", "output-error", "approval-responded"})


@dataclass(frozen=True, slots=True)
class Answered:
    """To the turn that the client knows as `message_id`, in the thread of the name `ref`; `parts` are the calls that it
    has something to say to."""

    ref: str
    message_id: str | None
    parts: tuple[UiMessage, ...]

    def answers(self, calls: Calls) -> tuple[Answer, ...]:
        """`calls` are those of the turn, as they were told."""
        known = {call.told_as: call for call in calls}
        return tuple(_answer(part, known.get(part["toolCallId"])) for part in self.parts)


def answered_by(ref: str, path: str, message: UiMessage) -> Answered:
    """By the message of the assistant's that the client goes on with. Raises `InvalidField`."""
    parts = message.get("parts")
    if not isinstance(parts, list):
        raise InvalidField(f"{path}.parts", "must be a list of parts")
    begins = max((at + 1 for at, part in enumerate(parts) if _type_of(part) == "step-start"), default=0)
    said = tuple(_calls(path, parts, begins))
    if not said:
        raise InvalidField("messages", NO_QUESTION)
    message_id = message.get("id")
    return Answered(ref, message_id if isinstance(message_id, str) else None, said)


def _calls(path: str, parts: list[Any], begins: int) -> Iterator[UiMessage]:
    for at, part in enumerate(parts[begins:], begins):
        kind = _type_of(part)
        if not (kind == "dynamic-tool" or kind.startswith("tool-")) or part.get("providerExecuted") is True:
            continue
        if part.get("state") not in _SAID:
            continue
        place = f"{path}.parts.{at}"
        if not isinstance(part.get("toolCallId"), str):
            raise InvalidField(f"{place}.toolCallId", "must be a text")
        if part["state"] == "approval-responded":
            _require_decided(f"{place}.approval", part.get("approval"))
        yield part


def _require_decided(place: str, approval: Any) -> None:
    if not isinstance(approval, dict) or not isinstance(approval.get("approved"), bool):
        raise InvalidField(f"{place}.approved", "must be true or false")
    if not isinstance(approval.get("reason"), str | None):
        raise InvalidField(f"{place}.reason", "must be a text")


def _type_of(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _answer(part: UiMessage, call: Call | None) -> Answer:
    """A call of ours that the client cannot show, because its arguments are no JSON, is not allowed."""
    call_id = part["toolCallId"] if call is None else call.call_id
    if part["state"] == "approval-responded":
        return CallDecision(call_id, part["approval"]["approved"], part["approval"].get("reason") or None)
    failed = part["state"] == "output-error"
    said = part.get("errorText") if failed else text_of(part.get("output"))
    text = said if isinstance(said, str) else ""
    if failed and call is not None and not call.is_clients:
        return CallDecision(call_id, False, text or None)
    return CallOutput(call_id, text, failed)
