"""Turns with tools as UI message streams: what the client makes of them is what is stored, wherever they were cut."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from chatorch.domain.model.calls import call_head, result_part
from chatorch.domain.model.content import START, Content, Snapshot
from chatorch.domain.model.conversation import (
    Message,
    MessageId,
    MessageStatus,
    Role,
    RunId,
    ThreadId,
    Usage,
    UsageSource,
)
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.run import RunCompleted, RunEvent, RunFailed, RunStarted
from chatorch.domain.model.tools import CallStatus, CarriedOutBy
from chatorch.entrypoints.ai_sdk.chunks import NOT_YET
from chatorch.entrypoints.ai_sdk.encoder import UiStreamEncoder
from chatorch.entrypoints.ai_sdk.messages import before, ui_message
from chatorch.entrypoints.ai_sdk.numbered import NumberedChunks
from chatorch.entrypoints.ai_sdk.turn_before import NOTHING_BEFORE, Before
from tests.support.sizes import size
from tests.support.ui_message import UiMessage

USAGE = Usage(1, 2, 3, UsageSource.PROVIDER)
ARGUMENTS = ["{}", '{"a": "é"}', "", "[1]", "{no"]
SAID = ["", "text", '{"a": [1]}', "42", "null", '{"__proto__": 1}']
ENDS = [CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.NOT_EXECUTED, CallStatus.UNKNOWN]


def message(number: int, content: Content, status: MessageStatus, role: Role = Role.ASSISTANT) -> Message:
    placed = Message(
        MessageId(f"msg_{number}"),
        ThreadId("thr_1"),
        number,
        role,
        "",
        status,
        datetime.now(UTC),
        RunId(f"run_{number}"),
    )
    return placed.holding(content)


class Turn:
    """A turn of any runs as the loop makes them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.count = 0
        self.messages: list[Message] = []
        self.allowed: list[str] = []

    def step(self, *, last: bool) -> list[Part]:
        chance = self.chance
        text = Part(PartKind.TEXT, {}, chance.choice(["", "Well. "]), closed=True)
        thought = [Part(PartKind.REASONING, {}, "hm", closed=True)] if chance.random() < 0.3 else []
        return [*thought, text, *self.calls(waits=last)]

    def calls(self, *, waits: bool) -> list[Part]:
        calls: list[Part] = []
        results: list[Part] = []
        for _ in range(self.chance.randint(1, 3)):
            self.count += 1
            ident, by, asks = f"c{self.count}", CarriedOutBy.SERVER, False
            if waits:
                by, asks = self.chance.choice([(CarriedOutBy.CLIENT, False), (by, True), (by, False)])
            head = call_head(ident, "find", by, needs_approval=asks)
            calls.append(Part(PartKind.TOOL_CALL, head, self.chance.choice(ARGUMENTS), closed=True))
            if by is CarriedOutBy.SERVER and not asks:
                results += self.made(ident)
        return calls + results

    def made(self, ident: str) -> list[Part]:
        data = Part(PartKind.DATA, {"name": "find", "call_id": ident}, '{"n": 1}', closed=True)
        result = result_part(ident, self.chance.choice(ENDS), self.chance.choice(SAID))
        return [*([data] * self.chance.randint(0, 2)), result]

    def content(self, *, ends: bool) -> Content:
        parts = [part for ident in self.allowed for part in self.made(ident)]
        for _ in range(self.chance.randint(0, 2)):
            parts += self.step(last=False)
        parts += [Part(PartKind.TEXT, {}, "So.", closed=True)] if ends else self.step(last=True)
        self.allowed = []
        return Content((Part(PartKind.TEXT), *parts))

    def answer(self) -> None:
        """What its user says to all that waits."""
        for call in self.messages[-1].parts:
            if call.kind is not PartKind.TOOL_CALL or not (
                call.head["by"] == "client" or call.head.get("needs_approval")
            ):
                continue
            if call.head["by"] == "client":
                status = self.chance.choice([CallStatus.COMPLETED, CallStatus.FAILED])
            elif self.chance.random() < 0.5 and not call.body.startswith("{no"):
                self.allowed.append(call.head["id"])
                continue
            else:
                status = CallStatus.DENIED
            part = result_part(call.head["id"], status, self.chance.choice(SAID))
            said = Content((Part(PartKind.TEXT), part))
            self.messages.append(message(len(self.messages), said, MessageStatus.COMPLETE, Role.TOOL))


def stream(placed: Message, end: RunEvent, told_before: Before, version: int, cut: int | None) -> bytes:
    """As it is told to who begins with it; where there is a `cut`, another worker goes on from there."""
    assert placed.run_id is not None
    encoder = UiStreamEncoder(placed.run_id, version, told_before)
    content = placed.whole
    events: list[RunEvent] = [RunStarted(1, placed.thread_id, placed.id, "a-model")]
    if cut is None:
        events += content.since(START)
    else:
        events += content.upto(cut).since(START)
        events += [Snapshot(1, content.upto(cut)), *content.since(cut)]
    return b"".join(map(encoder.encode, [*events, end])) + encoder.end()


def stored(messages: list[Message]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads(json.dumps(ui_message(*messages)["parts"]))
    return parts


@pytest.mark.parametrize("version", [6, 7])
def test_a_turn_of_any_runs_is_shown_as_it_is_stored_live_and_to_who_comes_back(version: int):
    chance = random.Random(version)
    for _ in range(size(150, 3000)):
        turn = Turn(chance)
        runs = chance.randint(1, 3)
        for number in range(runs):
            ends = number == runs - 1 and chance.random() < 0.5
            earlier = list(turn.messages)
            complete = chance.random() < 0.8 or number < runs - 1
            status = MessageStatus.COMPLETE if complete else MessageStatus.INCOMPLETE
            placed = message(len(earlier), turn.content(ends=ends), status)
            turn.messages.append(placed)
            reason = "stop" if ends else "tool_calls"
            done = RunCompleted(9, placed.id, reason, USAGE)
            end: RunEvent = done if complete else RunFailed(9, "upstream_error", "No.", retryable=True)
            expected = stored(turn.messages)
            cut = chance.choice([None, chance.randint(START, placed.whole.tip)]) if version >= 7 else None
            live = UiMessage(version, parts=stored_as_answered(earlier))
            live.take(stream(placed, end, before(earlier, whole=False) if earlier else NOTHING_BEFORE, version, cut))
            again = UiMessage(version)
            again.take(stream(placed, end, before(earlier, whole=True) if earlier else NOTHING_BEFORE, version, cut))
            assert live.parts == expected
            assert again.id == "msg_0"
            assert as_told(again.parts, version) == as_told(expected, version)
            assert own_of(again.parts).intersection(again.to_do) == own_of(expected, "input-available")
            if number < runs - 1:
                turn.answer()


def test_over_a_socket_a_worker_that_goes_on_tells_no_step_twice():
    chance = random.Random(7)
    for _ in range(size(100, 1000)):
        placed = message(0, Turn(chance).content(ends=True), MessageStatus.COMPLETE)
        content, cut = placed.whole, chance.randint(START, placed.whole.tip)
        numbered = NumberedChunks("r1", RunId("run_0"))
        events: list[RunEvent] = [
            RunStarted(1, placed.thread_id, placed.id, "a-model"),
            *content.upto(cut).since(START),
        ]
        events += [Snapshot(1, NOT_YET), *content.since(START), RunCompleted(9, placed.id, "stop", USAGE)]
        frames = [json.loads(frame) for event in events for frame in numbered.frames(event)]
        assert [frame["sequence"] for frame in frames] == list(range(len(frames)))
        told = b"".join(b"data: %b\n\n" % json.dumps(frame["chunk"]).encode() for frame in frames)
        assert UiMessage().take(told).parts == stored([placed])


def stored_as_answered(earlier: list[Message]) -> list[dict[str, Any]]:
    """What the client has that said what is stored."""
    if not earlier:
        return []
    told: list[dict[str, Any]] = json.loads(json.dumps(before(earlier, whole=True).parts))
    return told


def as_told(parts: list[dict[str, Any]], version: int) -> list[dict[str, Any]]:
    """`ai` 6 is not told of decisions that were taken elsewhere."""
    known = [dict(part) for part in parts]
    for part in known:
        if version == 6 and part.get("state") != "approval-requested":
            part.pop("approval", None)
            part.pop("providerExecuted", None)
    return known


def own_of(parts: list[dict[str, Any]], *states: str) -> set[str]:
    """Calls that the client is to carry out, of those in these states."""
    own = [part for part in parts if part["type"].startswith("tool-")]
    return {part["toolCallId"] for part in own if not states or part["state"] in states}
