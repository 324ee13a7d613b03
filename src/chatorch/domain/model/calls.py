"""The tool calls of a message: the steps that they stand in, what answers them, and which are open."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import Message, MessageStatus, Role
from chatorch.domain.model.parts import Facts, Part, PartKind
from chatorch.domain.model.tools import CallStatus, CarriedOutBy

ASKS = "tool_calls"
"""The finish reason of a run that waits for what somebody outside has to say."""
AFTERWARDS = (PartKind.TOOL_RESULT, PartKind.DATA)
"""What stands behind the calls of a step, and before what the model says next: results, and how a tool got on."""

STAND_INS = {
    CallStatus.NOT_EXECUTED: "This tool was not called.",
    CallStatus.UNKNOWN: "It is not known whether this tool was called, nor how that went. Do not assume that it was.",
    CallStatus.DENIED: "The user did not allow this call.",
}
"""What a model is told of a call that nothing else is known of."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a model said in one go, and the calls that it asked for by that. All of them are whole."""

    text: str = ""
    reasoning: tuple[Part, ...] = ()
    calls: tuple[Part, ...] = ()


def steps_of(parts: Iterable[Part]) -> Iterator[Step]:
    """The steps of a message. One ends with the results of its calls, or with the message.

    What a model called unasked is left out, and so is what it did not say to the end, but for text.
    """
    text: list[str] = []
    reasoning: list[Part] = []
    calls: list[Part] = []
    done = False
    for part in parts:
        if part.kind in AFTERWARDS:
            done = True
            continue
        if done:
            if text or reasoning or calls:
                yield Step("".join(text), tuple(reasoning), tuple(calls))
            text, reasoning, calls, done = [], [], [], False
        if part.kind is PartKind.TEXT:
            text.append(part.body)
        elif part.kind is PartKind.REASONING and part.closed:
            reasoning.append(part)
        elif part.kind is PartKind.TOOL_CALL and offered(part):
            calls.append(part)
    if text or reasoning or calls:
        yield Step("".join(text), tuple(reasoning), tuple(calls))


def offered(call: Part) -> bool:
    """Whether it came whole, of a tool that was there to be called."""
    return call.closed and "by" in call.head


def calls_in(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.kind is PartKind.TOOL_CALL and offered(part)]


def results_in(parts: Iterable[Part]) -> dict[str, Part]:
    """By the ids of their calls."""
    results = (part for part in parts if part.kind is PartKind.TOOL_RESULT and part.closed)
    return {part.head["call_id"]: part for part in results if {"call_id", "status"} <= part.head.keys()}


def call_head(ident: str, name: str, by: CarriedOutBy, *, needs_approval: bool) -> Facts:
    return {"id": ident, "name": name, "by": by.value, **({"needs_approval": True} if needs_approval else {})}


def call_part(ident: str, name: str, arguments: str) -> Part:
    """A call that a client tells of: it carried it out itself."""
    head = call_head(ident, name, CarriedOutBy.CLIENT, needs_approval=False)
    return Part(PartKind.TOOL_CALL, head, arguments, closed=True)


def result_part(call_id: str, status: CallStatus, content: str) -> Part:
    return Part(PartKind.TOOL_RESULT, {"call_id": call_id, "status": status.value}, content, closed=True)


def waits_for_client(call: Part) -> bool:
    """Whether somebody outside must say something, before the turn goes on."""
    return call.head.get("by") == CarriedOutBy.CLIENT or bool(call.head.get("needs_approval"))


def asks(parts: Iterable[Part]) -> bool:
    """Whether any of them waits for somebody outside."""
    found = list(parts)
    results = results_in(found)
    return any(waits_for_client(call) and call.head["id"] not in results for call in calls_in(found))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a message stands, as far as its calls go. `live`: its run has not ended; `complete`: it ended as it should;
    `overtaken`: the user said something since. `gone_on`: the next run of the turn was begun, which carries out what
    was approved in one that is complete; True as long as it lives. `answered` are results that stand elsewhere, by the
    ids of their calls.
    """

    live: bool = False
    complete: bool = False
    overtaken: bool = False
    gone_on: bool | None = None
    answered: Mapping[str, Part] = field(default_factory=dict)

    @classmethod
    def behind(cls, message: Message, since: Iterable[Message]) -> "Standing":
        """`since` is what was said after it, oldest first."""
        live, complete = message.status is MessageStatus.STREAMING, message.status is MessageStatus.COMPLETE
        return cls(live, complete).then(since)

    def then(self, since: Iterable[Message]) -> "Standing":
        """With what was said since, oldest first; what the user's next message begins is another turn."""
        later = list(since)
        turn = list(takewhile(lambda message: message.role is not Role.USER, later))
        runs = [message.status is MessageStatus.STREAMING for message in turn if message.role is Role.ASSISTANT]
        gone_on = runs[0] if runs else None
        return replace(self, overtaken=len(turn) < len(later), gone_on=gone_on, answered=answered_in(turn))

    def status_of(self, call: Part) -> CallStatus:
        """Of a call that no result in its own message answers."""
        result = self.answered.get(str(call.head.get("id", "")))
        if result is not None:
            return _said_by(result)
        if "by" not in call.head or not call.closed:
            return CallStatus.PENDING if self.live and not call.closed else CallStatus.NOT_EXECUTED
        asked_for = self.complete and waits_for_client(call) and call.head["by"] == CarriedOutBy.SERVER
        if asked_for and self.gone_on is not None:
            return CallStatus.RUNNING if self.gone_on else CallStatus.UNKNOWN
        if waits_for_client(call):
            open_still = self.live or (self.complete and not self.overtaken)
            return CallStatus.PENDING if open_still else CallStatus.NOT_EXECUTED
        return CallStatus.RUNNING if self.live else CallStatus.UNKNOWN


LIVE = Standing(live=True)
ENDED_WELL = Standing(complete=True)


def results_of_calls(message: Message, since: Iterable[Message]) -> dict[str, Part]:
    """What came of each call in a message of the past, by its id; something in its place where nothing answers it.

    `since` is what was said after the message, oldest first.
    """
    standing = replace(Standing.behind(message, since), live=False, overtaken=True)
    results = {**standing.answered, **results_in(message.parts)}
    for call in calls_in(message.parts):
        if call.head["id"] not in results:
            status = standing.status_of(call)
            status = CallStatus.UNKNOWN if status is CallStatus.RUNNING else status
            results[call.head["id"]] = result_part(call.head["id"], status, STAND_INS[status])
    return results


def turn_of(messages: Sequence[Message]) -> Sequence[Message]:
    """What was said since the user's last message, oldest first."""
    asked = next((at for at in reversed(range(len(messages))) if messages[at].role is Role.USER), -1)
    return messages[asked + 1 :]


def answered_in(messages: Iterable[Message]) -> dict[str, Part]:
    """The results in several messages, by the ids of their calls. The first of each id: there are providers that count
    their calls anew in each step, and clients that bring what those said."""
    parts = [part for message in messages for part in message.parts]
    return results_in(reversed(parts))


def open_calls(messages: Sequence[Message]) -> list[Part]:
    """Those of the turn that a thread's messages end with which nothing answers, oldest first.

    None where the message that asks did not end as it should, or where a run has gone on from there: it may have made
    them.
    """
    turn = turn_of(messages)
    answered = answered_in(turn)
    last = next((message for message in reversed(turn) if message.role is Role.ASSISTANT), None)
    asked = calls_in(last.parts) if last is not None and last.status is MessageStatus.COMPLETE else []
    return [call for call in asked if call.head["id"] not in answered]


def ids_in_turn(messages: Sequence[Message]) -> frozenset[str]:
    """Of all calls of the turn that a thread's messages end with."""
    return frozenset(str(call.head["id"]) for message in turn_of(messages) for call in calls_in(message.parts))


def kept_content(content: Content, kept: int) -> Content:
    """What of a run's content outlives its worker: up to the position `kept`, and the results behind it.

    Nothing where that is 0; with a result everything before it was kept, whatever the store heard of that.
    """
    if not kept:
        return Content()
    at = START
    for index, part in enumerate(content.parts):
        follows = index and at >= kept
        if follows and not (part.kind in AFTERWARDS and part.closed):
            return content.upto(at)
        at += len(part.body) + ((1 + part.closed) if index else 0)
    return content


def _said_by(result: Part) -> CallStatus:
    """A word that is none of ours is no success."""
    try:
        return CallStatus(result.head["status"])
    except ValueError:
        return CallStatus.UNKNOWN


def statuses_of(content: Content, standing: Standing) -> dict[str, CallStatus]:
    """How each call of a message stands, by id."""
    results = results_in(content.parts)
    statuses: dict[str, CallStatus] = {}
    for call in content.parts:
        if call.kind is PartKind.TOOL_CALL:
            ident = str(call.head.get("id", ""))
            result = results.get(ident)
            statuses[ident] = standing.status_of(call) if result is None else _said_by(result)
    return statuses
