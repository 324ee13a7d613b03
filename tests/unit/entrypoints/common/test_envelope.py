"""Events on the wire, byte for byte: a run of text only has exactly the frames that it always had."""

import json

import pytest

from chatorch.domain.model.content import Content, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
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
from chatorch.entrypoints.common.sse import SseEncoder
from chatorch.entrypoints.ws.frames import FrameEncoder
from tests.support.parts import CALL, SOURCE, THOUGHT

COUNTS = (
    '{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cached_tokens":0,"reasoning_tokens":0,'
    '"source":"provider"}'
)
NOT_EXECUTED = '"status":"not_executed","needs_approval":false'
TEXT_ONLY: list[tuple[RunEvent, str]] = [
    (
        RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "m"),
        '"run.started","thread_id":"thr_1","message_id":"msg_1","model":"m"}',
    ),
    (PartDelta(4, 'a"🙂'), '"message.delta","text":"a\\"🙂"}'),
    (Snapshot(4, Content.of("a\n🙂")), '"message.snapshot","text":"a\\n🙂"}'),
    (Snapshot(1, Content()), '"message.snapshot","text":""}'),
    (
        RunCompleted(5, MessageId("msg_1"), "stop", Usage(1, 2, 3, UsageSource.PROVIDER)),
        '"run.completed","message_id":"msg_1","finish_reason":"stop","usage":' + COUNTS + "}",
    ),
    (RunFailed(5, "c", "d", True, 2.5), '"run.failed","code":"c","detail":"d","retryable":true}'),
    (RunCancelled(5, CancelReason.DETACHED), '"run.cancelled","reason":"detached"}'),
    (RunInterrupted(4294967301), '"run.interrupted"}'),
]
OF_PARTS: list[tuple[RunEvent, str]] = [
    (PartStarted(2, 1, Part(PartKind.REASONING)), '"part.started","index":1,"part":{"type":"reasoning"}}'),
    (PartDelta(4, "Hm", 1, PartKind.REASONING), '"part.delta","index":1,"text":"Hm"}'),
    (PartEnded(5, 1, THOUGHT), '"part.ended","index":1,"part":{"type":"reasoning"}}'),
    (PartStarted(6, 2, Part(PartKind.TEXT)), '"part.started","index":2,"part":{"type":"text"}}'),
    (PartDelta(8, "Hi", 2), '"message.delta","index":2,"text":"Hi"}'),
    (
        PartStarted(9, 3, Part(PartKind.TOOL_CALL, CALL.head)),
        '"part.started","index":3,"part":{"type":"tool_call","id":"call_1","name":"find"}}',
    ),
    (
        PartEnded(9, 3, CALL),
        '"part.ended","index":3,"part":{"type":"tool_call","id":"call_1","name":"find",' + NOT_EXECUTED + "}}",
    ),
    (
        PartEnded(9, 4, SOURCE),
        '"part.ended","index":4,"part":{"type":"source","url":"https://x.example","title":"日本"}}',
    ),
    (
        Snapshot(4, Content((Part(PartKind.TEXT), Part(PartKind.REASONING, {}, "Hm")))),
        '"message.snapshot","text":"","parts":[{"index":1,"type":"reasoning","text":"Hm"}]}',
    ),
]


@pytest.mark.parametrize(("event", "rest"), [*TEXT_ONLY, *OF_PARTS])
def test_a_frame_is_exactly_this(event: RunEvent, rest: str):
    kind = rest.split('"')[1]
    data = f'{{"run_id":"run_1","seq":{event.seq},"type":{rest}'
    assert SseEncoder(RunId("run_1")).encode(event).decode() == f"id: {event.seq}\nevent: {kind}\ndata: {data}\n\n"
    assert FrameEncoder(RunId("run_1")).encode(event).decode() == data


@pytest.mark.parametrize("run_id", ["run_%d", "run_%", "%%", 'run_"\\', "läuft"])
@pytest.mark.parametrize("text", ["100 %", "%d", '"', "\\", "\n\r\t\x1f\x7f\u2028", "", "😀" * 3])
def test_no_text_and_no_id_breaks_a_frame(run_id: str, text: str):
    said = {"run_id": run_id, "seq": 5, "type": "message.delta", "text": text}
    frame = SseEncoder(RunId(run_id)).encode(PartDelta(5, text)).decode()
    head, data = frame.removesuffix("\n\n").split("\ndata: ")
    assert (head, json.loads(data)) == ("id: 5\nevent: message.delta", said)
    assert json.loads(FrameEncoder(RunId(run_id)).encode(PartDelta(5, text))) == said
