"""A run's events as JSON: one envelope for every door that streams."""

import msgspec

from chatorch.domain.model.calls import LIVE
from chatorch.domain.model.content import PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import (
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
)
from chatorch.entrypoints.common.parts import ended_view, head_view, parts_view
from chatorch.entrypoints.common.views import usage_view

DELTA = "message.delta"
PART_DELTA = "part.delta"

EVENT_TYPES: dict[type[RunEvent], str] = {
    RunStarted: "run.started",
    PartDelta: DELTA,
    PartStarted: "part.started",
    PartEnded: "part.ended",
    Snapshot: "message.snapshot",
    RunCompleted: "run.completed",
    RunFailed: "run.failed",
    RunCancelled: "run.cancelled",
    RunInterrupted: "run.interrupted",
}

_encode = quoted = msgspec.json.Encoder().encode
"""JSON of a text, among others."""


def envelope(run_id: RunId, event: RunEvent) -> bytes:
    """``{"run_id", "seq", "type", …}`` as one line of UTF-8 JSON."""
    return _encode({"run_id": run_id, "seq": event.seq, "type": type_of(event), **_members(event)})


def delta_form(run_id: RunId) -> bytes:
    """What `%` makes the envelope of a delta of part 0, with its position and its `quoted` text: that is once a token,
    and takes a fifth of the time of encoding a dict.
    """
    prefix = _encode({"run_id": run_id})[:-1].replace(b"%", b"%%")
    return prefix + b',"seq":%d,"type":"message.delta","text":%b}'


def type_of(event: RunEvent) -> str:
    """A client that shows text only listens to ``message.delta``, whichever part the text is in."""
    if type(event) is PartDelta and event.kind is not PartKind.TEXT:
        return PART_DELTA
    return EVENT_TYPES[type(event)]


def _members(event: RunEvent) -> dict[str, object]:
    match event:
        case RunStarted():
            return {"thread_id": event.thread_id, "message_id": event.message_id, "model": event.model}
        case PartDelta():
            return {"index": event.index, "text": event.text} if event.index else {"text": event.text}
        case PartStarted():
            return {"index": event.index, "part": head_view(event.part)}
        case PartEnded():
            return {"index": event.index, "part": ended_view(event.part)}
        case Snapshot(content=content):
            return {"text": content.text, **({} if content.text_only else {"parts": parts_view(content, LIVE)})}
        case RunCompleted():
            usage = usage_view(event.usage)
            return {"message_id": event.message_id, "finish_reason": event.finish_reason, "usage": usage}
        case RunFailed():
            return {"code": event.code, "detail": event.detail, "retryable": event.retryable}
        case RunCancelled():
            return {"reason": event.reason}
        case RunInterrupted():
            return {}
