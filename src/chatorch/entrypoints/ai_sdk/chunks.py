"""A run's events as chunks of a UI message stream, version 1, of Vercel's AI SDK.

One message, one step: `start` with the message's own id, blocks with their parts' indexes as ids, and what ends it.
Whoever comes back is told all from `start` on; the client begins the message anew by that. What nobody carries out is
a call that its provider made (`providerExecuted`), so that no client waits for it or carries it out itself.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from chatorch.domain.model.content import START, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import (
    CancelReason,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
)
from chatorch.entrypoints.ai_sdk.said import (
    NOT_EXECUTED,
    NOT_WHOLE,
    Calls,
    answered,
    begun,
    data_part,
    failed,
    file_part,
    settled,
    source_part,
    value_of,
)
from chatorch.entrypoints.common.gathered import Gathered, gathered
from chatorch.entrypoints.common.views import usage_view

Chunk = dict[str, Any]

FINISH_REASONS = {"stop": "stop", "length": "length", "content_filter": "content-filter", "tool_calls": "tool-calls"}
INTERRUPTED = "The answer was interrupted: the process that carried it out is gone. Ask for it again."
CANCELLED = {
    CancelReason.DETACHED: "The answer was stopped, because nobody seemed to follow it. Ask for it again.",
    CancelReason.SHUTDOWN: "The answer was stopped: the server is restarting. Ask for it again.",
}
CUT_OFF = "The answer was cut off. Load the conversation again to see what is left of it."

_KINDS = {PartKind.TEXT: "text", PartKind.REASONING: "reasoning"}


class At(NamedTuple):
    """`open` is the index of the block that is open, `kind` its kind, and `name` that of a call; `body` is what has
    come of a part that is given whole. `over`: an error was told, behind which the client listens no more.
    """

    open: int | None = None
    kind: PartKind = PartKind.TEXT
    name: str = ""
    body: Gathered = ()
    calls: Calls = ()
    over: bool = False


class UiChunks:
    """`version` is the client's: a chunk that `ai` 6 does not know breaks its stream."""

    def __init__(self, run_id: RunId, version: int) -> None:
        self.run_id = run_id
        self.version = version
        self.state: At = At()

    def chunks(self, event: RunEvent) -> Iterator[Chunk]:
        """What is told of it. Nothing is behind an error."""
        if self.state.over:
            return
        match event:
            case RunStarted():
                about = {"run_id": self.run_id, "seq": event.seq, "thread_id": event.thread_id, "model": event.model}
                yield {"type": "start", "messageId": event.message_id, "messageMetadata": about}
                yield {"type": "start-step"}
            case PartDelta():
                yield from self._grown(event)
            case PartStarted():
                yield from self._begun(event)
            case PartEnded():
                yield from self._ended(event)
            case Snapshot():
                yield from self._replaced(event)
            case _:
                yield from self._over(event)

    def grows(self, event: PartDelta) -> PartKind | None:
        """Whether it goes on with the block that is open, so that it is told as a delta and changes nothing else."""
        at = self.state
        if at.open == event.index and not at.over and (at.kind is PartKind.TEXT or at.kind is PartKind.REASONING):
            return at.kind
        return None

    def _begun(self, event: PartStarted) -> Iterator[Chunk]:
        yield from self._close()
        index, kind, head = event.index, event.part.kind, event.part.head
        match kind:
            case PartKind.REASONING:
                yield {"type": "reasoning-start", "id": str(index)}
            case PartKind.TOOL_CALL:
                self.state = self.state._replace(calls=begun(self.state.calls, head, index))
                yield {
                    "type": "tool-input-start",
                    "toolCallId": self.state.calls[-1].told_as,
                    "toolName": str(head.get("name", "")),
                    "dynamic": True,
                    "providerExecuted": True,
                }
            case PartKind.SOURCE if head:
                yield source_part(head, index)
            case PartKind.FILE:
                yield file_part(head)
        if kind is not PartKind.TEXT:  # which is shown from its first character on
            self.state = self.state._replace(open=index, kind=kind, name=str(head.get("name", "")))

    def _grown(self, event: PartDelta) -> Iterator[Chunk]:
        match event.kind:
            case PartKind.TEXT | PartKind.REASONING:
                name = _KINDS[event.kind]
                if self.state.open != event.index:
                    self.state = self.state._replace(open=event.index, kind=event.kind)
                    yield {"type": f"{name}-start", "id": str(event.index)}
                yield {"type": f"{name}-delta", "id": str(event.index), "delta": event.text}
            case PartKind.TOOL_CALL:
                self._gather(event.text)
                told_as = self.state.calls[-1].told_as
                yield {"type": "tool-input-delta", "toolCallId": told_as, "inputTextDelta": event.text}
            case PartKind.TOOL_RESULT | PartKind.DATA:
                self._gather(event.text)

    def _gather(self, text: str) -> None:
        self.state = self.state._replace(body=gathered(self.state.body, text))

    def _ended(self, event: PartEnded) -> Iterator[Chunk]:
        part, body = event.part, self.state.body
        match part.kind:
            case PartKind.TOOL_CALL:
                yield from self._called(self.state.name, "".join(body))
            case PartKind.TOOL_RESULT:
                calls, call = answered(self.state.calls, part)
                self.state = self.state._replace(calls=calls)
                if call is not None and failed(part):
                    text = "".join(body) or NOT_EXECUTED
                    yield {"type": "tool-output-error", "toolCallId": call.told_as, "errorText": text}
                elif call is not None:
                    yield {"type": "tool-output-available", "toolCallId": call.told_as, "output": "".join(body)}
            case PartKind.DATA:
                if (chunk := data_part(part.head, body, event.index)) is not None:
                    yield chunk
        yield from self._close()

    def _called(self, name: str, arguments: str, *, whole: bool = True) -> Iterator[Chunk]:
        calls = self.state.calls
        told = {"toolCallId": calls[-1].told_as, "toolName": name, "dynamic": True, "providerExecuted": True}
        value, taken = value_of(arguments) if whole else (arguments, False)
        if taken:
            yield {"type": "tool-input-available", **told, "input": value}
        else:
            self.state = self.state._replace(calls=settled(calls, len(calls) - 1))
            yield {"type": "tool-input-error", **told, "input": value, "errorText": NOT_WHOLE}

    def _close(self) -> Iterator[Chunk]:
        """Ends the block that is open."""
        at = self.state
        if at.open is not None:
            self.state = at._replace(open=None, kind=PartKind.TEXT, body=())
            if name := _KINDS.get(at.kind):
                yield {"type": f"{name}-end", "id": str(at.open)}

    def _replaced(self, event: Snapshot) -> Iterator[Chunk]:
        """The step begins anew. `ai` 6 can take nothing back: it is told that it does not have the whole."""
        if self.version < 7:
            yield from self._close()
            yield {"type": "error", "errorText": CUT_OFF}
            self.state = At(over=True)
            return
        self.state = At()
        yield {"type": "reset-step"}
        for piece in event.content.since(START):
            yield from self.chunks(piece)

    def _over(self, event: RunEvent) -> Iterator[Chunk]:
        at = self.state
        if at.kind is PartKind.TOOL_CALL:
            yield from self._called(at.name, "".join(at.body), whole=False)
        yield from self._close()
        for call in self.state.calls:
            if call.waits:
                yield {"type": "tool-output-error", "toolCallId": call.told_as, "errorText": NOT_EXECUTED}
        match event:
            case RunCompleted():
                about = {"seq": event.seq, "usage": usage_view(event.usage)}
                reason = FINISH_REASONS.get(event.finish_reason, "other")
                yield {"type": "finish-step"}
                yield {"type": "finish", "finishReason": reason, "messageMetadata": about}
            case RunCancelled(reason=CancelReason.USER):
                yield {"type": "abort", "reason": "user"}
            case RunCancelled(reason=reason):
                yield {"type": "error", "errorText": CANCELLED[reason]}
            case RunFailed():
                yield {"type": "error", "errorText": event.detail}
            case RunInterrupted():
                yield {"type": "error", "errorText": INTERRUPTED}
