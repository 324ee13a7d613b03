"""A run as a UI message stream: what the client makes of it is what is stored, wherever it was cut."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatorch.domain.model.content import START, Content, ContentEvent, PartDelta, PartStarted, Snapshot
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
from chatorch.domain.model.run import (
    CancelReason,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
)
from chatorch.entrypoints.ai_sdk.encoder import UiStreamEncoder
from chatorch.entrypoints.ai_sdk.messages import ui_message
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from tests.support.parts import ANSWER, CALL, SOURCE, THOUGHT, any_content
from tests.support.sizes import size
from tests.support.ui_message import UiMessage, chunks

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")
DONE = RunCompleted(99, MessageId("msg_1"), "stop", Usage(1, 2, 3, UsageSource.PROVIDER))
RESULT = Part(PartKind.TOOL_RESULT, {"call_id": "call_1", "status": "completed"}, "Rome", closed=True)


def of(*parts: Part, text: str = "") -> Content:
    return Content((Part(PartKind.TEXT, {}, text), *parts))


def call(arguments: str, *, name: str = "find", call_id: str = "call_1", closed: bool = True) -> Part:
    return Part(PartKind.TOOL_CALL, {"id": call_id, "name": name}, arguments, {}, closed)


def pieces(content: Content, chance: random.Random) -> Iterable[ContentEvent]:
    """Its events, with bodies in pieces of any length."""
    for event in content.since(START):
        text = event.text if isinstance(event, PartDelta) else ""
        if not isinstance(event, PartDelta):
            yield event
        at = event.seq - len(text)
        while text and isinstance(event, PartDelta):
            length = chance.randint(1, len(text))
            at += length
            yield PartDelta(at, text[:length], event.index, event.kind)
            text = text[length:]


def stream(events: Iterable[RunEvent], version: int = 7, encoder: EventEncoder | None = None) -> bytes:
    encoder = encoder or UiStreamEncoder(RUN, version)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def shown(events: Iterable[RunEvent], version: int = 7) -> UiMessage:
    return UiMessage(version).take(stream(events, version))


def stored(content: Content) -> list[dict[str, Any]]:
    placed = Message(
        MessageId("msg_1"), ThreadId("thr_1"), 2, Role.ASSISTANT, "", MessageStatus.COMPLETE, datetime.now(UTC), RUN
    )
    parts: list[dict[str, Any]] = json.loads(json.dumps(ui_message(placed.holding(content))["parts"]))
    return parts


def some_contents() -> list[Content]:
    chance = random.Random(12)
    return [ANSWER, of(text="Hello."), of(), *(any_content(chance) for _ in range(size(150, 5000)))]


@pytest.mark.parametrize("version", [6, 7])
def test_what_is_told_in_any_pieces_is_what_is_stored(version: int):
    chance = random.Random(version)
    for content in some_contents():
        message = shown([STARTED, *pieces(content, chance), DONE], version)
        assert (message.id, message.error, message.parts) == ("msg_1", None, stored(content)), content


def test_an_answer_that_begins_anew_replaces_what_was_told():
    chance = random.Random(1)
    for content in some_contents():
        before, cut = any_content(chance), chance.randint(START, content.tip)
        again: list[RunEvent] = [Snapshot(1000 + cut, content.upto(cut)), *content.since(cut)]
        message = shown([STARTED, *before.since(START), *again, DONE])
        assert message.parts == stored(content), (before, cut, content)


def test_a_client_of_6_which_can_take_nothing_back_is_told_that_it_has_not_the_whole():
    message = shown([STARTED, PartDelta(4, "Hel"), Snapshot(2, of(text="H")), PartDelta(7, "allo"), DONE], 6)
    assert "cut off" in (message.error or "")
    assert message.parts == [{"type": "step-start"}, {"type": "text", "text": "Hel", "state": "done"}]


def test_all_who_follow_hear_the_same_as_each_would_alone():
    chance = random.Random(3)
    for content in some_contents():
        events = [STARTED, *pieces(content, chance), DONE]
        alone = stream(events)
        frames = EventFrames()
        followers = [frames.shared(RUN, UiStreamEncoder(RUN, 7)) for _ in range(3)]
        heard, told = [b"", b"", b""], [0, 0, 0]
        while min(told) < len(events):
            who = chance.choice([n for n in range(3) if told[n] < len(events)])
            for event in events[told[who] : told[who] + chance.randint(1, 3)]:
                heard[who] += followers[who].encode(event)
                told[who] += 1
        assert heard == [alone.removesuffix(b"data: [DONE]\n\n")] * 3


def test_a_start_names_the_message_and_the_run_and_a_finish_how_it_went():
    told = chunks(stream([STARTED, PartDelta(3, "Hi"), DONE]))
    about = {"run_id": "run_1", "seq": 1, "thread_id": "thr_1", "model": "a-model"}
    assert told[0] == {"type": "start", "messageId": "msg_1", "messageMetadata": about}
    assert [chunk["type"] for chunk in told[1:]] == [
        *("start-step", "text-start", "text-delta", "text-end", "finish-step", "finish")
    ]
    assert told[-1]["finishReason"] == "stop"
    assert (told[-1]["messageMetadata"]["seq"], told[-1]["messageMetadata"]["usage"]["total_tokens"]) == (99, 3)
    assert stream([DONE]).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("reason", "told"),
    [("length", "length"), ("content_filter", "content-filter"), ("tool_calls", "tool-calls"), ("odd", "other")],
)
def test_a_finish_reason_is_one_that_the_client_knows(reason: str, told: str):
    end = RunCompleted(9, MessageId("msg_1"), reason, DONE.usage)
    assert (shown([STARTED, end]).end or {})["finishReason"] == told


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (RunFailed(9, "upstream_error", "The provider failed.", retryable=True), "The provider failed."),
        (RunInterrupted(9), "interrupted"),
        (RunCancelled(9, CancelReason.SHUTDOWN), "restarting"),
        (RunCancelled(9, CancelReason.DETACHED), "nobody"),
    ],
)
@pytest.mark.parametrize("version", [6, 7])
def test_an_answer_that_ends_early_keeps_its_text_and_is_an_error(end: RunEvent, told: str, version: int):
    message = shown([STARTED, PartDelta(3, "Hi"), end], version)
    assert told in (message.error or "")
    assert message.parts[1:] == [{"type": "text", "text": "Hi", "state": "done"}]


def test_one_that_its_user_stopped_is_no_error():
    message = shown([STARTED, PartDelta(3, "Hi"), RunCancelled(9, CancelReason.USER)])
    assert (message.error, message.end) == (None, {"type": "abort", "reason": "user"})


@pytest.mark.parametrize(
    "arguments",
    [
        *('{"a": ', "nonsense", '{"a": NaN}', "[" * 2000 + "]" * 2000, '{"a": "\\ud800"}'),
        *('{"__proto__": {"x": 1}}', '{"deep": [{"__proto__": 1}]}', '{"\\u005f_proto__": 1}'),
        '{"constructor": {"prototype": 1}}',
    ],
)
def test_arguments_that_its_parser_would_not_take_do_not_break_the_stream(arguments: str):
    content = of(call(arguments), call('{"b": 1}', call_id="call_2"))
    message = shown([STARTED, *content.since(START), DONE])
    assert message.parts == stored(content)
    assert message.parts[1]["input"] == arguments
    assert message.parts[2]["input"] == {"b": 1}


@pytest.mark.parametrize("arguments", ["", "{}", '{"constructor": "x"}', '"__proto__"', '{"a": "\\"__proto__\\": 1"}'])
def test_arguments_that_only_look_so_are_told(arguments: str):
    message = shown([STARTED, *of(call(arguments)).since(START), DONE])
    assert message.parts[1]["input"] == json.loads(arguments or "{}")


def test_a_call_that_nobody_carries_out_is_neither_the_clients_nor_waited_for():
    message = shown([STARTED, *of(CALL).since(START), DONE])
    [told] = message.parts[1:]
    assert (told["state"], told["providerExecuted"]) == ("output-error", True)
    assert "not carried out" in told["errorText"]


def test_a_result_is_told_of_the_latest_call_of_that_id():
    again = of(CALL, RESULT, CALL, SOURCE)
    first, second, _ = shown([STARTED, *again.since(START), DONE]).parts[1:]
    assert (first["output"], second["state"]) == ("Rome", "output-error")
    assert first["toolCallId"] != second["toolCallId"]
    assert shown([STARTED, *of(RESULT).since(START), DONE]).parts == stored(of(RESULT))  # of no call


def test_a_text_is_opened_by_its_first_character_and_a_thought_at_once():
    told = chunks(stream([STARTED, PartStarted(2, 1, Part(PartKind.REASONING))]))
    assert [chunk["type"] for chunk in told[2:]] == ["reasoning-start"]
    assert stored(of(THOUGHT)) == shown([STARTED, *of(THOUGHT).since(START), DONE]).parts
