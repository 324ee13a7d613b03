"""What people and clients say to the calls that a turn waits for: results of the client's tools, and decisions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chatorch.domain.model.calls import (
    STAND_INS,
    answered_in,
    calls_in,
    result_part,
    results_in,
    turn_of,
    waits_for_client,
)
from chatorch.domain.model.conversation import JsonObject, Message, MessageStatus, NewMessage, Role, RunId
from chatorch.domain.model.errors import InvalidField, ThreadBusy, ToolCallsAnswered, ToolCallsOpen
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.text import storable_text
from chatorch.domain.model.tools import CallStatus, CarriedOutBy, ToolResult


@dataclass(frozen=True, slots=True)
class CallOutput:
    """What came of a call that the client carried out. `metadata` is kept with the message that says so."""

    call_id: str
    content: str
    is_error: bool = False
    metadata: JsonObject = field(default_factory=dict)

    def result(self) -> Part:
        status = CallStatus.FAILED if self.is_error else CallStatus.COMPLETED
        return result_part(self.call_id, status, storable_text(self.content))

    def bounded(self, most: int) -> "CallOutput":
        """As `ToolResult.bounded`."""
        result = ToolResult(CallStatus.COMPLETED, self.content).bounded(most)
        return self if result.content is self.content else replace(self, content=result.content, is_error=True)

    def agrees(self, answered: Part | None) -> bool:
        """Whether that is what was said before."""
        mine = self.result()
        return answered is not None and (answered.head, answered.body) == (mine.head, mine.body)


@dataclass(frozen=True, slots=True)
class CallDecision:
    """Whether a call may be made. `reason` is for the model, where it may not."""

    call_id: str
    approve: bool
    reason: str | None = None

    def bounded(self, most: int) -> "CallDecision":
        """Without a reason of more than `most` code points."""
        return self if len(self.reason or "") <= most else replace(self, reason=None)

    def result(self) -> Part | None:
        """Of one that may be made there is none yet."""
        if self.approve:
            return None
        reason = f" They say: {storable_text(self.reason)}" if self.reason else ""
        return result_part(self.call_id, CallStatus.DENIED, STAND_INS[CallStatus.DENIED] + reason)

    def agrees(self, answered: Part | None) -> bool:
        """Whether that is what was decided before. `answered` is None as long as the call is made."""
        denied = answered is not None and answered.head["status"] == CallStatus.DENIED
        return denied is not self.approve


Answer = CallOutput | CallDecision


def metadata_of(answers: Iterable[Answer], result: Part) -> JsonObject:
    """What is kept with a result beside it."""
    said = (answer for answer in answers if answer.call_id == result.head["call_id"])
    return next((answer.metadata for answer in said if isinstance(answer, CallOutput)), {})


@dataclass(frozen=True, slots=True)
class UnknownCalls(Exception):  # no fault: they may be of another turn
    """The turn that a thread ends with has no such calls. `writing` is the run that may be about to ask for them."""

    call_ids: frozenset[str]
    writing: RunId | None = None


def accepted(answers: Sequence[Answer], most: int, *, more_follows: bool = False) -> tuple[Answer, ...]:
    """As they are to be kept, none with more than `most` code points. Raises `InvalidField` unless there are some, for
    each call one.

    Nothing is approved where the user says more behind them: it would be carried out by the next run of the turn, and
    there is none.
    """
    if not answers:
        raise InvalidField("outputs", "must not be empty, where there are no decisions")
    seen: set[str] = set()
    for place, answer in _placed(answers):
        if answer.call_id in seen:
            raise InvalidField(place, "is answered twice")
        if more_follows and isinstance(answer, CallDecision) and answer.approve:
            raise InvalidField(place, "can be approved only by itself: say more behind what comes of it")
        seen.add(answer.call_id)
    return tuple(answer.bounded(most) for answer in answers)


def require_calls_answered(messages: Sequence[NewMessage]) -> None:
    """Of a history that a client brings: each result answers a call that was asked for since the user's last message,
    and where results come last, all are there. Raises `InvalidField` and `ToolCallsOpen`.
    """
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message.role is Role.USER:
            waiting.clear()
        for call in calls_in(message.parts):
            if call.head["id"] in waiting:
                raise InvalidField(f"messages.{index}", "asks for two calls of one id")
            waiting.add(call.head["id"])
        if message.role is Role.TOOL:
            answered = results_in(message.parts)
            if not answered or not waiting.issuperset(answered):
                raise InvalidField(f"messages.{index}", "answers no call of a tool that waits for an answer")
            waiting -= answered.keys()
    if messages[-1].role is Role.TOOL and waiting:
        raise ToolCallsOpen(sorted(waiting))


def with_bounded_results(messages: Sequence[NewMessage], most: int) -> tuple[NewMessage, ...]:
    """A history that a client brings, whose results are as `ToolResult.bounded` has them."""
    return tuple(
        replace(message, parts=tuple(_bounded(part, most) for part in message.parts)) if message.parts else message
        for message in messages
    )


def _bounded(part: Part, most: int) -> Part:
    if part.kind is not PartKind.TOOL_RESULT or len(part.body) <= most:
        return part
    result = ToolResult(CallStatus(part.head["status"]), part.body).bounded(most)
    return result_part(part.head["call_id"], result.status, result.content)


def results_of(
    messages: Sequence[Message], answers: Sequence[Answer], *, more_follows: bool = False
) -> list[Part] | RunId:
    """What of `answers` is kept, in the order of the calls; or the run that they opened before, where they did, and
    nothing more follows them.

    `messages` are a thread's, oldest first, with at least the turn that they end with. Raises `UnknownCalls`,
    `InvalidField`, `ToolCallsOpen` where others wait as well, `ThreadBusy` where the run that asks is not over, and
    `ToolCallsAnswered` where these were answered otherwise.
    """
    turn = turn_of(messages)
    by_id = {answer.call_id: answer for answer in answers}
    asked = {str(call.head["id"]): at for at, message in enumerate(turn) for call in calls_in(message.parts)}
    if unknown := by_id.keys() - asked.keys():
        raise UnknownCalls(frozenset(unknown), _writing(turn[-1]) if turn else None)
    waiting = waiting_calls(turn)
    new = by_id.keys() & {call.head["id"] for call in waiting}
    if not new:
        opened = _opened_before(turn, max(asked[call_id] for call_id in by_id), answers)
        if more_follows:
            raise ToolCallsAnswered
        return opened
    if new != by_id.keys():
        raise ToolCallsAnswered
    if left := [str(call.head["id"]) for call in waiting if call.head["id"] not in by_id]:
        raise ToolCallsOpen(left)
    _require_fitting({str(call.head["id"]): call for call in waiting}, answers)
    return [result for call in waiting if (result := by_id[str(call.head["id"])].result())]


def waiting_calls(turn: Sequence[Message]) -> list[Part]:
    """The calls that a turn waits for: of the message that it ends with, those that are to be answered from outside."""
    last = next((message for message in reversed(turn) if message.role is Role.ASSISTANT), None)
    if last is None or last.status is not MessageStatus.COMPLETE:
        return []
    answered = answered_in(turn)
    return [call for call in calls_in(last.parts) if waits_for_client(call) and call.head["id"] not in answered]


def _writing(message: Message) -> RunId | None:
    return message.run_id if message.status is MessageStatus.STREAMING else None


def _opened_before(turn: Sequence[Message], asked_at: int, answers: Iterable[Answer]) -> RunId:
    if writing := _writing(turn[asked_at]):
        raise ThreadBusy(writing)  # the rest of its calls may be still to come
    answered = answered_in(turn)
    if not all(answer.agrees(answered.get(answer.call_id)) for answer in answers):
        raise ToolCallsAnswered
    run_id: RunId | None = None
    for message in turn[asked_at + 1 :]:
        if message.role is Role.ASSISTANT:
            run_id = message.run_id
            if message.status is not MessageStatus.INCOMPLETE:
                break  # else the one that goes on from there, where there is one
    if run_id is None:
        raise ToolCallsAnswered  # by itself: there is nothing to be decided
    return run_id


def _require_fitting(waiting: dict[str, Part], answers: Iterable[Answer]) -> None:
    for place, answer in _placed(answers):
        is_clients = waiting[answer.call_id].head["by"] == CarriedOutBy.CLIENT
        if is_clients is not isinstance(answer, CallOutput):
            problem = "is carried out by the client" if is_clients else "is to be decided on, and carried out here"
            raise InvalidField(place, problem)


def _placed(answers: Iterable[Answer]) -> Iterator[tuple[str, Answer]]:
    """With the field that names its call."""
    places = {"outputs": 0, "decisions": 0}
    for answer in answers:
        name = "outputs" if isinstance(answer, CallOutput) else "decisions"
        yield f"{name}.{places[name]}.call_id", answer
        places[name] += 1
