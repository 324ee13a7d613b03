"""Stored messages as the client's UI messages: as its own fold of the stream leaves them, so that a reload changes
nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chatorch.domain.model.calls import AFTERWARDS, calls_in, waits_for_client
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Message, MessageStatus, Role
from chatorch.domain.model.parts import Part, PartKind
from chatorch.entrypoints.ai_sdk.said import (
    NOT_EXECUTED,
    NOT_WHOLE,
    Call,
    Calls,
    answered,
    begun,
    data_part,
    denied,
    end_of,
    failed,
    file_part,
    output_of,
    reason_of,
    settled,
    source_part,
    value_of,
)
from chatorch.entrypoints.ai_sdk.turn_before import Before

Json = dict[str, Any]

MAX_CLIENT_ID_CHARS = 255
CLIENT_ID = "client_message_id"
"""In the metadata of a message of the user's: the id that its client knows it by."""


def known_by(message: Message) -> tuple[str, ...]:
    """The ids that a client may know it by: its own, and ours."""
    own = message.metadata.get(CLIENT_ID)
    if isinstance(own, str) and 0 < len(own) <= MAX_CLIENT_ID_CHARS:
        return own, message.id
    return (message.id,)


def goes_on(earlier: Message, later: Message) -> bool:
    """Whether a message belongs to the turn of the one before it, as the client shows it: one message for both."""
    match earlier.role, later.role:
        case ((Role.ASSISTANT | Role.TOOL), Role.TOOL):
            return True
        case Role.TOOL, Role.ASSISTANT:
            return True
        case Role.ASSISTANT, Role.ASSISTANT:
            again = earlier.status is MessageStatus.INCOMPLETE
            return again or any(waits_for_client(call) for call in calls_in(earlier.parts))
    return False


def grouped(messages: Sequence[Message]) -> list[list[Message]]:
    """Oldest first, those together that are one to the client."""
    groups: list[list[Message]] = []
    for message in messages:
        if groups and goes_on(groups[-1][-1], message):
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups


def ui_messages(messages: Sequence[Message], *, overtaken: bool = False) -> list[Json]:
    """Oldest first. `overtaken`: the user said something since the last one."""
    groups = grouped(messages)
    last = len(groups) - 1
    told = ((at, group) for at, group in enumerate(groups) if _is_shown(group))
    return [ui_message(*group, overtaken=overtaken or at < last) for at, group in told]


def _is_shown(group: Sequence[Message]) -> bool:
    """What a live run writes is not: it comes with its stream."""
    return group[0].role is not Role.TOOL and group[0].status is not MessageStatus.STREAMING


def ui_message(*messages: Message, overtaken: bool = False) -> Json:
    """``{"id", "role", "metadata", "parts"}`` of those that are one to the client."""
    message = messages[0]
    if message.role in (Role.USER, Role.SYSTEM):
        rest = {name: said for name, said in message.metadata.items() if name != CLIENT_ID}
        parts = [{"type": "text", "text": message.content}]
        return {"id": known_by(message)[0], "role": message.role, "metadata": rest, "parts": parts}
    said = [each for each in messages if each.role is Role.ASSISTANT and each.status is not MessageStatus.STREAMING]
    last = said[-1]
    about = {"run_id": last.run_id, "thread_id": last.thread_id, "status": last.status}
    return {"id": message.id, "role": message.role, "metadata": about, "parts": _Turn.of(messages, overtaken).parts}


def before(messages: Sequence[Message], *, whole: bool) -> Before:
    """What the earlier messages of a turn are to the next run of it."""
    turn = _Turn.of(messages, overtaken=False, goes_on=True)
    return Before(messages[0].id, tuple(turn.parts), turn.calls, turn.offset, whole)


def calls_known(messages: Sequence[Message]) -> Calls:
    """All calls of a turn, with the ids that the client knows them by."""
    return _Turn.of(messages, overtaken=False).calls


@dataclass(slots=True)
class _Turn:
    """The fold of a turn's messages. `places` are the parts of calls, by the client's ids; `offset` is how many parts
    earlier messages have."""

    parts: list[Json] = field(default_factory=list)
    calls: Calls = ()
    places: dict[str, Json] = field(default_factory=dict)
    offset: int = 0

    @classmethod
    def of(cls, messages: Sequence[Message], overtaken: bool, *, goes_on: bool = False) -> "_Turn":
        """`goes_on`: another run follows, which is live."""
        turn = cls()
        for message in messages:
            if message.role is Role.TOOL:
                for part in message.parts:
                    turn._answer(part)
                continue
            turn._allow()
            if message.status is not MessageStatus.STREAMING:
                turn._say(message.whole)
                turn._end(complete=message.status is MessageStatus.COMPLETE)
        if goes_on:
            turn._allow()
        elif messages[-1].status is not MessageStatus.STREAMING:
            turn._wait(overtaken=overtaken)
        return turn

    def _say(self, content: Content) -> None:
        self.parts.append({"type": "step-start"})
        done = False
        for index, part in content.shown():
            if done and part.kind not in AFTERWARDS:
                self.parts.append({"type": "step-start"})
                done = False
            if part.kind is PartKind.TOOL_RESULT:
                self._answer(part)
                done = done or self._is_of_step(part)
            else:
                self._show(index + self.offset, part)
        self.offset += len(content.parts)

    def _is_of_step(self, result: Part) -> bool:
        call_id = result.head.get("call_id")
        return result.closed and any(c.by and c.call_id == call_id and not c.earlier for c in self.calls)

    def _show(self, index: int, part: Part) -> None:
        match part.kind:
            case PartKind.TEXT if part.body:
                self.parts.append({"type": "text", "text": part.body, "state": "done"})
            case PartKind.REASONING:
                self.parts.append({"type": "reasoning", "id": str(index), "text": part.body, "state": "done"})
            case PartKind.TOOL_CALL:
                self._call(index, part)
            case PartKind.SOURCE if part.head:
                self.parts.append(source_part(part.head, index))
            case PartKind.FILE:
                self.parts.append(file_part(part.head))
            case PartKind.DATA if part.closed and (data := data_part(part.head, part.body, index, self.calls)):
                same = (each for each in self.parts if (each["type"], each.get("id")) == (data["type"], data["id"]))
                if (told := next(same, None)) is not None:
                    told["data"] = data["data"]
                else:
                    self.parts.append(data)

    def _call(self, index: int, part: Part) -> None:
        self.calls = begun(self.calls, part.head, index)
        call = self.calls[-1]
        value, taken = value_of(part.body) if part.closed else (part.body, False)
        about = call.about
        kind = {"type": "dynamic-tool", "toolName": call.name} if "dynamic" in about else {"type": f"tool-{call.name}"}
        known = {"toolCallId": call.told_as, "input": value, "providerExecuted": about["providerExecuted"]}
        self.places[call.told_as] = {**kind, **known, "state": "input-available"}
        self.parts.append(self.places[call.told_as])
        if not taken:
            self.calls = settled(self.calls, len(self.calls) - 1)
            self._failed(call, NOT_WHOLE)

    def _answer(self, result: Part) -> None:
        if result.kind is not PartKind.TOOL_RESULT or not result.closed:
            return
        self.calls, call = answered(self.calls, result)
        if call is None:
            return
        refused = denied(result) and bool(call.by)
        if call.asks and (call.earlier or refused):
            reason = {"reason": why} if refused and (why := reason_of(result)) is not None else {}
            self.places[call.told_as]["approval"] = {"id": call.told_as, "approved": not refused, **reason}
        if refused:
            self.places[call.told_as]["state"] = "output-denied"
        elif failed(result):
            self._failed(call, result.body or NOT_EXECUTED)
        else:
            self.places[call.told_as] |= {"state": "output-available", "output": output_of(result.body)}

    def _failed(self, call: Call, why: str) -> None:
        self.places[call.told_as] |= {"state": "output-error", "errorText": why}

    def _allow(self) -> None:
        """A run follows: what waited for a decision may be done."""
        for call in self._waiting():
            if call.asks:
                self.places[call.told_as] |= {
                    "state": "approval-responded",
                    "approval": {"id": call.told_as, "approved": True},
                }

    def _end(self, *, complete: bool) -> None:
        """Of a message: nothing comes of what does not wait for the client."""
        for call in self._waiting():
            if why := end_of(call, complete=complete):
                self._failed(call, why)
                self.calls = settled(self.calls, self.calls.index(call))
        self.calls = tuple(call._replace(earlier=True) for call in self.calls)

    def _wait(self, *, overtaken: bool) -> None:
        """What the client is to do is left to it, unless it said something else instead."""
        for call in self._waiting():
            if overtaken:
                self._failed(call, NOT_EXECUTED)
            elif call.asks:
                place = self.places[call.told_as]
                place |= {"state": "approval-requested", "approval": {"id": call.told_as}}

    def _waiting(self) -> list[Call]:
        return [call for call in self.calls if call.waits]
