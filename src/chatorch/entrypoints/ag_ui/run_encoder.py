"""A run as one follower of AG-UI's is told of it: by the names that its client gave to the thread and to the run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatorch.domain.model.calls import LIVE, Standing
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
from chatorch.entrypoints.ag_ui.calls import NOTHING_EARLIER, Earlier, Waiting, outcome_of, settled
from chatorch.entrypoints.ag_ui.encoder import ContentEncoder
from chatorch.entrypoints.ag_ui.events import Json, frame, ours
from chatorch.entrypoints.ag_ui.messages import beside, told_messages
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


ANSWERED_BY_NOBODY = Standing()


@dataclass(frozen=True, slots=True)
class History:
    """What the thread holds around the run's own messages, each as it was told, and the events of what is told beside
    all these. `earlier` are the calls before the run in its turn, and `standing` says what became of its own since."""

    before: tuple[Json, ...] = ()
    after: tuple[Json, ...] = ()
    beside: bytes = b""
    earlier: Earlier = NOTHING_EARLIER
    standing: Standing = ANSWERED_BY_NOBODY


class RunEncoder(EventEncoder):
    """`frames` are shared by all who follow the run in this dialect. A snapshot replaces all that the client has, so
    whoever hands one in sets `history` before, and whether the client `holds_thoughts` already. `earlier` are the
    calls before the run in its turn, and `told_first` is what its client is to hear of them."""

    def __init__(
        self, run: Run, names: Names, frames: EventFrames, earlier: Earlier = NOTHING_EARLIER, told_first: bytes = b""
    ) -> None:
        self._run = run
        self._names = names.view()
        self._calls = earlier.names
        self._told_first = told_first
        self._content = ContentEncoder(run.message_id, earlier)
        self._encode = frames.shared(run.id, self._content).encode
        self._over = False
        self.holds_thoughts = False
        self.history = History()

    def encode(self, event: RunEvent) -> bytes:
        if type(event) is PartDelta:  # first, because it is nearly always one
            return self._encode(event)
        match event:
            case RunStarted():
                return run_started(self._names, self._run) + self._told_first
            case Snapshot():
                return self._snapshot(event)
            case RunCompleted() | RunCancelled() | RunFailed() | RunInterrupted():
                self._over = True
                standing = replace(self.history.standing, complete=isinstance(event, RunCompleted))
                told, waiting = self._content.over(standing)
                return told + self._end(event, waiting)
        self.holds_thoughts = True
        return self._encode(event)

    def keep_alive(self) -> bytes:
        return self._content.keep_alive()

    def end(self) -> bytes:
        return b""

    def cut_off(self) -> bytes:
        """A client takes a stream that only ends for an answer."""
        failure = domain_failure(InvalidToken())
        return b"" if self._over else frame("RUN_ERROR", message=failure.detail, code=failure.code)

    def _end(self, event: TerminalEvent, waiting: Sequence[Waiting]) -> bytes:
        match event:
            case RunCompleted():
                said = {"usage": [usage_view(event.usage, self._run.model)], **ours(finish_reason=event.finish_reason)}
                return frame("RUN_FINISHED", **self._names, **outcome_of(waiting), **said)
            case RunCancelled(reason=CancelReason.USER):
                return frame("RUN_FINISHED", **self._names, outcome={"type": "cancelled"})
        return run_error(event)

    def _snapshot(self, event: Snapshot) -> bytes:
        message_id, content, history = self._run.message_id, event.content, self.history
        told = told_messages(message_id, content, LIVE, self._calls)
        closing = self._content.close()
        messages = settled([*history.before, *told, *history.after])
        told_beside = history.beside + b"".join(beside(message_id, content, self._calls))
        snapshot = messages_snapshot(messages, in_place_of_thoughts=self.holds_thoughts)
        self.holds_thoughts = True
        return closing + snapshot + told_beside + self._content.take_up(content)


def messages_snapshot(messages: list[Json], *, in_place_of_thoughts: bool) -> bytes:
    """`in_place_of_thoughts`: its client may hold some that are none any more, as after a worker's death.

    It would keep them where none are in a snapshot, and add what is thought or said anew to those of the same ids. It
    drops them for a snapshot that has one: so the first message is told as one, and then as it is.
    """
    snapshot = frame("MESSAGES_SNAPSHOT", messages=messages)
    if in_place_of_thoughts and messages and not any(message["role"] == "reasoning" for message in messages):
        first, *others = messages
        thought = {"id": first["id"], "role": "reasoning", "content": ""}
        return frame("MESSAGES_SNAPSHOT", messages=[thought, *others]) + snapshot
    return snapshot


def run_started(names: Json, run: Run | None) -> bytes:
    """With our own names, by which it is found at all other doors; none where nothing runs."""
    known = {} if run is None else {"run_id": run.id, "thread_id": run.thread_id, "message_id": run.message_id}
    model = None if run is None else run.model
    return frame("RUN_STARTED", **names, protocolVersion=PROTOCOL_VERSION, **ours(**known, model=model))


def thread_at_rest(
    names: Names, history: History, waiting: Sequence[Waiting], *, holds_thoughts: bool = False
) -> bytes:
    """A whole stream, of a thread in which nothing is live: what it waits for is told again."""
    snapshot = messages_snapshot(settled([*history.before, *history.after]), in_place_of_thoughts=holds_thoughts)
    end = frame("RUN_FINISHED", **names.view(), **outcome_of(waiting))
    return run_started(names.view(), None) + snapshot + history.beside + end


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
