"""A run as one follower of AG-UI's is told of it: by the names that its client gave to the thread and to the run."""

from dataclasses import dataclass

from chatorch.domain.model.content import PartDelta, Snapshot
from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.run import (
    CancelReason,
    Run,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TerminalEvent,
)
from chatorch.entrypoints.ag_ui.encoder import ContentEncoder
from chatorch.entrypoints.ag_ui.events import Json, frame, ours
from chatorch.entrypoints.ag_ui.messages import answer_messages, beside
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from chatorch.entrypoints.common.failures import domain_failure

PROTOCOL_VERSION = "1.0"
"""Ours, not the client's: each side says its own."""

STOPPED = {
    CancelReason.DETACHED: "The answer was stopped, because nobody seemed to follow it.",
    CancelReason.SHUTDOWN: "The server is restarting.",
}
"""A client that is told of a cancelled run shows nothing of it; that is right only where its user wanted it."""


@dataclass(frozen=True, slots=True)
class Names:
    """As the client has them."""

    thread: str
    run: str

    def view(self) -> Json:
        return {"threadId": self.thread, "runId": self.run}


@dataclass(frozen=True, slots=True)
class History:
    """What the thread holds around the run's own messages, and the events of what is told beside all these."""

    before: tuple[Json, ...] = ()
    after: tuple[Json, ...] = ()
    beside: bytes = b""


class RunEncoder(EventEncoder):
    """`frames` are shared by all who follow the run in this dialect. A snapshot replaces all that the client has, so
    whoever hands one in sets `history` before."""

    def __init__(self, run: Run, names: Names, frames: EventFrames) -> None:
        self._run = run
        self._names = names.view()
        self._content = ContentEncoder(run.message_id)
        self._encode = frames.shared(run.id, self._content).encode
        self._over = False
        self.history = History()

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta:  # first, because it is nearly always one
            return self._encode(event)
        match event:
            case RunStarted():
                return run_started(self._names, self._run)
            case Snapshot():
                return self._snapshot(event)
            case RunCompleted() | RunCancelled() | RunFailed() | RunInterrupted():
                self._over = True
                return self._content.over() + self._end(event)
        return self._encode(event)

    def keep_alive(self) -> bytes:
        return self._content.keep_alive()

    def end(self) -> bytes:
        return b""

    def cut_off(self) -> bytes:
        """A client takes a stream that only ends for an answer."""
        failure = domain_failure(InvalidToken())
        return b"" if self._over else frame("RUN_ERROR", message=failure.detail, code=failure.code)

    def _end(self, event: TerminalEvent) -> bytes:
        match event:
            case RunCompleted():
                usage = [usage_view(event.usage, self._run.model)]
                return frame("RUN_FINISHED", **self._names, usage=usage, **ours(finish_reason=event.finish_reason))
            case RunCancelled(reason=CancelReason.USER):
                return frame("RUN_FINISHED", **self._names, outcome={"type": "cancelled"})
        return run_error(event)

    def _snapshot(self, event: Snapshot) -> bytes:
        message_id, content, history = self._run.message_id, event.content, self.history
        shown = answer_messages(message_id, content, over=False)
        closing = self._content.close()
        snapshot = frame("MESSAGES_SNAPSHOT", messages=[*history.before, *shown, *history.after])
        told_beside = history.beside + b"".join(beside(message_id, content))
        return closing + snapshot + told_beside + self._content.take_up(content)


def run_started(names: Json, run: Run | None) -> bytes:
    """With our own names, by which it is found at all other doors; none where nothing runs."""
    known = {} if run is None else {"run_id": run.id, "thread_id": run.thread_id, "message_id": run.message_id}
    model = None if run is None else run.model
    return frame("RUN_STARTED", **names, protocolVersion=PROTOCOL_VERSION, **ours(**known, model=model))


def thread_at_rest(names: Names, history: History) -> bytes:
    """A whole stream, of a thread in which nothing is live."""
    snapshot = frame("MESSAGES_SNAPSHOT", messages=[*history.before, *history.after])
    return run_started(names.view(), None) + snapshot + history.beside + frame("RUN_FINISHED", **names.view())


def run_error(event: RunFailed | RunCancelled | RunInterrupted) -> bytes:
    match event:
        case RunFailed():
            return frame("RUN_ERROR", message=event.detail, code=event.code, **ours(retryable=event.retryable))
        case RunCancelled():
            message = STOPPED.get(event.reason, "The answer was stopped.")
            return frame("RUN_ERROR", message=message, code="run_cancelled", **ours(retryable=True))
        case RunInterrupted():
            return frame(
                "RUN_ERROR", message="The answer was interrupted.", code="run_interrupted", **ours(retryable=True)
            )


def usage_view(usage: Usage, model: str) -> Json:
    return {
        "model": model,
        "inputTokens": usage.prompt_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "cachedInputTokens": usage.cached_tokens,
    }
