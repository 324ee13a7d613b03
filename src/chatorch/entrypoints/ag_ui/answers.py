"""What a request says to calls that wait: its messages of the role ``tool``, and `resume`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chatorch.domain.model.call_answers import Answer, CallDecision, CallOutput
from chatorch.domain.model.conversation import Message, Role
from chatorch.domain.model.errors import InvalidField, ToolCallsOpen
from chatorch.entrypoints.ag_ui.calls import Waiting
from chatorch.entrypoints.ag_ui.client_ids import is_ours, kept
from chatorch.entrypoints.ag_ui.messages import calls_of, text_of_head
from chatorch.entrypoints.ag_ui.placement import part_id
from chatorch.entrypoints.ag_ui.schemas import ResumeIn, RunInput, id_of, text_of

MAX_REASON_CHARS = 4000
_RESULT = dict[str, Any]


def model_names(messages: Iterable[Message]) -> dict[str, str]:
    """What models call the calls in several messages, by what those are called here."""
    return {
        part_id(message.id, index): said
        for message in messages
        if message.role is Role.ASSISTANT
        for index, call in calls_of(message.whole)
        if (said := text_of_head(call, "id"))
    }


def answers_in(asked: RunInput, waiting: Sequence[Waiting], named: Mapping[str, str]) -> tuple[Answer, ...]:
    """To calls that wait, or, where these were answered already, what was said last. Each is said of the call as its
    model names it (`named`).

    Of the results that a client sends, those count that something waits for; the others are here already. Raises
    `InvalidField`, and `ToolCallsOpen` where others wait too.
    """
    open_calls = {each.call_id: each for each in waiting}
    new = [(index, message) for index, message in asked.results() if message.get("toolCallId") in open_calls]
    resumed = list(enumerate(asked.resume or ()))
    answered: dict[str, Answer] = {}
    for place, call_id, answer in _said(new or _last_results(asked), resumed, named):
        if call_id in answered:
            raise InvalidField(place, "is answered twice")
        if call_id in open_calls and open_calls[call_id].is_clients is not isinstance(answer, CallOutput):
            raise InvalidField(place, _OTHERWISE[type(answer)])
        answered[call_id] = answer
    if answered.keys() & open_calls.keys() and (left := open_calls.keys() - answered.keys()):
        raise ToolCallsOpen([call_id for call_id in open_calls if call_id in left])
    return tuple(answered.values())


_OTHERWISE = {
    CallOutput: "is no call of the client's: `resume` says whether it may be made",
    CallDecision: "is a call that its client carries out, and tells the result of",
}


def require_cancelled(resume: Sequence[ResumeIn]) -> None:
    """For who says something new instead. Raises `InvalidField`."""
    for index, entry in enumerate(resume):
        if entry.status != "cancelled":
            problem = "must be cancelled, where a new message of the user's comes instead"
            raise InvalidField(f"resume.{index}.status", problem)


def _said(
    results: Iterable[tuple[int, _RESULT]], resumed: Iterable[tuple[int, ResumeIn]], named: Mapping[str, str]
) -> Iterator[tuple[str, str, Answer]]:
    """Each answer with the field that names its call, and that name."""
    for index, message in results:
        call_id = message.get("toolCallId")
        if not isinstance(call_id, str):
            raise InvalidField(f"messages.{index}.toolCallId", "must be a string")
        yield f"messages.{index}.toolCallId", call_id, _output(index, message, named.get(call_id, call_id))
    for index, entry in resumed:
        call_id = entry.interrupt_id
        yield f"resume.{index}.interruptId", call_id, _decision(index, entry, named.get(call_id, call_id))


def _last_results(asked: RunInput) -> list[tuple[int, _RESULT]]:
    """Those that a client has said, and no answer of ours stands behind."""
    spoken = (at for at, message in enumerate(asked.messages) if message.get("role") == "assistant")
    last = max(spoken, default=-1)
    return [(index, message) for index, message in asked.results() if index > last and not is_ours(message.get("id"))]


def _output(index: int, message: _RESULT, call_id: str) -> CallOutput:
    """What the model is told of an error stands behind what the tool said."""
    name, error = id_of(index, message), message.get("error")
    if error is not None and not isinstance(error, str):
        raise InvalidField(f"messages.{index}.error", "must be a string")
    said = text_of(message.get("content"), f"messages.{index}.content")
    text = "\n\n".join(dict.fromkeys(filter(None, (said, error))))
    return CallOutput(call_id, text, is_error=bool(error), metadata=kept(name) if name else {})


def _decision(index: int, entry: ResumeIn, call_id: str) -> CallDecision:
    if entry.status == "cancelled":
        return CallDecision(call_id, approve=False)
    match entry.payload:
        case bool(approved):
            return CallDecision(call_id, approve=approved)
        case {"approved": bool(approved), **more} if not more:
            return CallDecision(call_id, approve=approved)
        case {"approved": bool(approved), "reason": str(reason) | (None as reason), **more} if not more:
            if len(reason or "") <= MAX_REASON_CHARS:
                return CallDecision(call_id, approve=approved, reason=reason or None)
    problem = f'must be {{"approved": true}}, or false, with a "reason" of at most {MAX_REASON_CHARS} characters'
    raise InvalidField(f"resume.{index}.payload", problem)
