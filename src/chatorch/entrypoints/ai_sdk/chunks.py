"""A run's events as chunks of a UI message stream, version 1, of Vercel's AI SDK.

A turn is one message to the client, of a step for each time that a model was asked: `start` with the id of the turn's
first message, blocks with their parts' indexes as ids, and what ends it. Whoever comes back is told all from `start`
on; the client begins the message anew by that. What is not the client's to carry out is a call that its provider made
(`providerExecuted`), so that no client waits for it or carries it out itself. A client is told to carry out a call, or
to ask about it, when the run has ended that waits for that: what is cut off or carried on elsewhere is not done.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from chatorch.domain.model.calls import AFTERWARDS
from chatorch.domain.model.content import START, Content, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import RunId
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
    settled,
    source_part,
    value_of,
)
from chatorch.entrypoints.ai_sdk.turn_before import NOTHING_BEFORE, Before
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
NOT_YET = Content()
"""Of a snapshot whose content follows piece by piece."""

_KINDS = {PartKind.TEXT: "text", PartKind.REASONING: "reasoning"}


class At(NamedTuple):
    """`open` is the index of the block that is open, `kind` its kind; `body` is what has come of a part that is given
    whole. `step` is the index of the part that the step began with, and `done` whether its calls have been answered;
    parts before `known` were told before the step began anew. `over`: an error was told, behind which the client
    listens no more.
    """

    open: int | None = None
    kind: PartKind = PartKind.TEXT
    body: Gathered = ()
    calls: Calls = ()
    step: int = 0
    done: bool = False
    known: int = 0
    over: bool = False


class UiChunks:
    """`version` is the client's: a chunk that `ai` 6 does not know breaks its stream. `before` is what earlier runs of
    the turn said."""

    def __init__(self, run_id: RunId, version: int, before: Before = NOTHING_BEFORE) -> None:
        self.run_id = run_id
        self.version = version
        self.before = before
        self.offset = before.parts_told
        self.state: At = At(calls=before.calls)

    def chunks(self, event: RunEvent) -> Iterator[Chunk]:
        """What is told of it. Nothing is behind an error."""
        if self.state.over:
            return
        match event:
            case RunStarted():
                about = {"run_id": self.run_id, "seq": event.seq, "thread_id": event.thread_id, "model": event.model}
                message_id = self.before.message_id or event.message_id
                yield {"type": "start", "messageId": message_id, "messageMetadata": about}
                yield from self.before.chunks(self.version)
                yield {"type": "start-step"}
            case PartDelta() | PartStarted() | PartEnded() if event.index < self.state.known:
                self._pass_over(event)
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
        if self.state.done and kind not in AFTERWARDS:
            if index > self.state.known:
                yield {"type": "finish-step"}
                yield {"type": "start-step"}
            self.state = self.state._replace(step=index, done=False)
        match kind:
            case PartKind.REASONING:
                yield {"type": "reasoning-start", "id": str(index + self.offset)}
            case PartKind.TOOL_CALL:
                self.state = self.state._replace(calls=begun(self.state.calls, head, index + self.offset))
                yield {"type": "tool-input-start", **self.state.calls[-1].about}
            case PartKind.SOURCE if head:
                yield source_part(head, index + self.offset)
            case PartKind.FILE:
                yield file_part(head)
        if kind is not PartKind.TEXT:  # which is shown from its first character on
            self.state = self.state._replace(open=index, kind=kind)

    def _grown(self, event: PartDelta) -> Iterator[Chunk]:
        match event.kind:
            case PartKind.TEXT | PartKind.REASONING:
                name, told_as = _KINDS[event.kind], str(event.index + self.offset)
                if self.state.open != event.index:
                    self.state = self.state._replace(open=event.index, kind=event.kind)
                    yield {"type": f"{name}-start", "id": told_as}
                yield {"type": f"{name}-delta", "id": told_as, "delta": event.text}
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
                yield from self._called("".join(body))
            case PartKind.TOOL_RESULT:
                calls, call = answered(self.state.calls, part)
                self.state = self.state._replace(calls=calls)
                if call is not None:
                    yield from self._came_of(call, part, "".join(body))
                if self._is_of_step(part):
                    self.state = self.state._replace(done=True)
            case PartKind.DATA:
                if (chunk := data_part(part.head, body, event.index + self.offset, self.state.calls)) is not None:
                    yield chunk
        yield from self._close()

    def _is_of_step(self, result: Part) -> bool:
        """Whether it answers a call of this message that was offered."""
        call_id = result.head.get("call_id")
        return any(call.by and call.call_id == call_id and not call.earlier for call in self.state.calls)

    def _called(self, arguments: str, *, whole: bool = True) -> Iterator[Chunk]:
        calls, call = self.state.calls, self.state.calls[-1]
        value, taken = value_of(arguments) if whole else (arguments, False)
        if not taken:
            self.state = self.state._replace(calls=settled(calls, len(calls) - 1))
            yield {"type": "tool-input-error", **call.about, "input": value, "errorText": NOT_WHOLE}
        elif call.is_clients:
            self.state = self.state._replace(calls=(*calls[:-1], call._replace(arguments=arguments)))
        else:
            yield {"type": "tool-input-available", **call.about, "input": value}

    def _came_of(self, call: Call, result: Part, text: str) -> Iterator[Chunk]:
        if denied(result) and call.by:
            yield {"type": "tool-output-denied", "toolCallId": call.told_as}
        elif failed(result):
            yield from self._came_to_nothing(call, text or NOT_EXECUTED)
        else:
            yield from _unasked(call)
            yield {"type": "tool-output-available", **_again(call), "output": output_of(text)}

    def _came_to_nothing(self, call: Call, why: str) -> Iterator[Chunk]:
        yield from _unasked(call)
        yield {"type": "tool-output-error", **_again(call), "errorText": why}

    def _close(self) -> Iterator[Chunk]:
        """Ends the block that is open."""
        at = self.state
        if at.open is not None:
            self.state = at._replace(open=None, kind=PartKind.TEXT, body=())
            if name := _KINDS.get(at.kind):
                yield {"type": f"{name}-end", "id": str(at.open + self.offset)}

    def _pass_over(self, event: PartDelta | PartStarted | PartEnded) -> None:
        """Of a step that the client has whole: what is told of it no more is to be known."""
        kind = event.kind if isinstance(event, PartDelta) else event.part.kind
        if kind in _KINDS:
            if isinstance(event, PartStarted):
                self.state = self.state._replace(done=False)
            return
        tell: Any = {PartDelta: self._grown, PartStarted: self._begun, PartEnded: self._ended}[type(event)]
        for _ in tell(event):
            pass

    def _replaced(self, event: Snapshot) -> Iterator[Chunk]:
        """The step begins anew, the last that was told. `ai` 6 can take nothing back, and neither takes back a step
        that was whole: those are told that they do not have the whole."""
        step = self.state.step
        fits = event.content is NOT_YET or len(event.content.parts) >= step
        if self.version < 7 or not fits:
            yield from self._close()
            yield {"type": "error", "errorText": CUT_OFF}
            self.state = At(over=True)
            return
        self.state = At(calls=self.before.calls, step=step, known=step)
        yield {"type": "reset-step"}
        for piece in event.content.since(START):
            yield from self.chunks(piece)

    def _over(self, event: RunEvent) -> Iterator[Chunk]:
        at = self.state
        if at.kind is PartKind.TOOL_CALL:
            yield from self._called("".join(at.body), whole=False)
        yield from self._close()
        for call in self.state.calls:
            if call.waits:
                yield from self._left(call, complete=isinstance(event, RunCompleted))
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

    def _left(self, call: Call, *, complete: bool) -> Iterator[Chunk]:
        """A call that nothing has answered, at the end of the run."""
        if why := end_of(call, complete=complete):
            yield from self._came_to_nothing(call, why)
        elif call.is_clients:
            yield {"type": "tool-input-available", **call.about, "input": value_of(call.arguments)[0]}
        else:
            yield {"type": "tool-approval-request", "approvalId": call.told_as, "toolCallId": call.told_as}


def _unasked(call: Call) -> Iterator[Chunk]:
    """A client's own call, whole, which it must not carry out."""
    if call.is_clients and not call.earlier:
        told = {**call.about, "providerExecuted": True, "input": value_of(call.arguments)[0]}
        yield {"type": "tool-input-available", **told}


def _again(call: Call) -> Chunk:
    """Which call it is, and whose."""
    whose = {"providerExecuted": False} if call.is_clients or call.asks else {}
    return {"toolCallId": call.told_as, **whose}
