"""A run's events as JSON: one envelope for every door that streams."""

import msgspec

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import (
    MessageDelta,
    MessageSnapshot,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
)

EVENT_TYPES: dict[type[RunEvent], str] = {
    RunStarted: "run.started",
    MessageDelta: "message.delta",
    MessageSnapshot: "message.snapshot",
    RunCompleted: "run.completed",
    RunFailed: "run.failed",
    RunCancelled: "run.cancelled",
    RunInterrupted: "run.interrupted",
}

_encode = msgspec.json.Encoder().encode


def envelope(run_id: RunId, event: RunEvent) -> bytes:
    """``{"run_id", "seq", "type", …}`` as one line of UTF-8 JSON."""
    if type(event) is MessageDelta:
        # Once a token: a third of the time of encoding a dict.
        return b'{"run_id":"%b","seq":%d,"type":"message.delta","text":%b}' % (
            run_id.encode(),
            event.seq,
            _encode(event.text),
        )
    return _encode({"run_id": run_id, "seq": event.seq, "type": EVENT_TYPES[type(event)], **_members(event)})


def _members(event: RunEvent) -> dict[str, object]:
    match event:
        case RunStarted():
            return {"thread_id": event.thread_id, "message_id": event.message_id, "model": event.model}
        case MessageDelta() | MessageSnapshot():
            return {"text": event.text}
        case RunCompleted():
            usage = event.usage
            return {
                "message_id": event.message_id,
                "finish_reason": event.finish_reason,
                "usage": {
                    "prompt_tokens": usage.prompt_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "total_tokens": usage.total_tokens,
                    "source": usage.source,
                },
            }
        case RunFailed():
            return {"code": event.code, "detail": event.detail, "retryable": event.retryable}
        case RunCancelled():
            return {"reason": event.reason}
        case RunInterrupted():
            return {}
