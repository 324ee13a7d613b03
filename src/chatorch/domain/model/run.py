"""A run: one generation, how it may end, and its events.

`seq` is a position, not a count: ``(epoch - 1) · 2^32`` and the place in the content (`chatorch.domain.model.content`).
`run.started` is 1, and the terminal event is one beyond the content. Whoever knows the content knows every position: a
resume at any of them is a slice.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chatorch.domain.model.content import START, Content, ContentEvent, goes_beyond
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage
from chatorch.domain.model.generation import AS_USUAL, Generation
from chatorch.domain.model.identity import CHAT_ALONE, Scope, UserId
from chatorch.domain.model.tools import ToolUse

EPOCH_SPAN = 2**32
"""How far the positions of one epoch lie from those of the next.

The followers of an executor may have seen more than was stored; whatever another one says lies beyond all of that, and
still reaches them.
"""


class RunStatus(StrEnum):
    QUEUED = "queued"
    STREAMING = "streaming"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def live(self) -> bool:
        return self in LIVE_STATUSES


LIVE_STATUSES = (RunStatus.QUEUED, RunStatus.STREAMING)


class CancelReason(StrEnum):
    """Who stopped a run: its user, nobody watching any more, or the process stopping."""

    USER = "user"
    DETACHED = "detached"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class RunError:
    """`retry_after` (seconds) is the provider's wish, which becomes a header and is not kept."""

    code: str
    detail: str
    retryable: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: decided once. Its row keeps it, and its terminal event says it."""

    status: RunStatus
    finish_reason: str | None = None
    usage: Usage | None = None
    error: RunError | None = None
    cancel_reason: CancelReason | None = None


INTERRUPTED = Outcome(RunStatus.INTERRUPTED)
"""Its worker is gone."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Run:
    """One generation, as it is stored.

    `message_id` is the assistant message that it writes, `user_message_id` the one it answers; `content` is what the
    assistant message holds so far. `seq` is the position after that while the run lives, and the terminal event's own
    once it has ended. `epoch` rises when another worker takes the run over: it is queued again then, and what the
    attempt before had said stands until the new one says something. One in the `background` needs nobody who watches.
    `scopes` are what the credential allowed that began it.
    """

    id: RunId
    thread_id: ThreadId
    owner_id: UserId
    user_message_id: MessageId
    message_id: MessageId
    status: RunStatus
    model: str
    created_at: datetime
    epoch: int = 1
    seq: int = START
    content: Content = field(default_factory=Content)
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    generation: Generation = AS_USUAL
    background: bool = False
    scopes: frozenset[Scope] = CHAT_ALONE

    @property
    def text(self) -> str:
        return self.content.text

    @property
    def base(self) -> int:
        """From where the positions of its content are counted. Who finds a run abandoned adds its end, and no more; who
        takes it over adds nothing before the model answers."""
        return base_of(content_epoch(self.status, self.epoch))

    @property
    def attempts(self) -> int:
        """How many workers took it on, or were to."""
        return self.epoch - 1 if self.status is RunStatus.INTERRUPTED else self.epoch


# -- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarted:
    seq: int
    thread_id: ThreadId
    message_id: MessageId
    model: str


@dataclass(frozen=True, slots=True)
class RunCompleted:
    seq: int
    message_id: MessageId
    finish_reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class RunFailed:
    """`retry_after` becomes a header, not a member of the event."""

    seq: int
    code: str
    detail: str
    retryable: bool
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class RunCancelled:
    seq: int
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class RunInterrupted:
    seq: int


TerminalEvent = RunCompleted | RunFailed | RunCancelled | RunInterrupted
RunEvent = RunStarted | ContentEvent | TerminalEvent

TERMINAL_EVENTS = (RunCompleted, RunFailed, RunCancelled, RunInterrupted)


class Silence:
    """Stands where no event came for a while: a door may send a keep-alive. It is no event and has no position."""

    __slots__ = ()


SILENCE = Silence()
STORE_AWAY = Silence()
"""The silence of a run of which only its row can tell, while the store does not answer."""


# -- rules ---------------------------------------------------------------------------------------------------------


def content_epoch(status: RunStatus, epoch: int) -> int:
    """Under which epoch the content of a run was said."""
    before = status in (RunStatus.INTERRUPTED, RunStatus.QUEUED)
    return max(epoch - 1, 1) if before else epoch


@dataclass(frozen=True, slots=True)
class LastContent:
    """All that an attempt is known to have said, and the epoch that it said it under."""

    epoch: int
    content: Content

    def replaces(self, status: RunStatus, epoch: int, tip: int) -> bool:
        """Whether it is fresher than what a live run holds, up to `tip`: more of the same attempt, or of a later one.

        What an earlier one had said is not, however long it is: its positions mean something else.
        """
        held = content_epoch(status, epoch)
        return held < self.epoch <= epoch or (held == self.epoch and goes_beyond(self.content, tip))


def base_of(epoch: int) -> int:
    """From where the positions of an epoch are counted."""
    return (epoch - 1) * EPOCH_SPAN


def end_seq(epoch: int, content: Content) -> int:
    """The position of a terminal event that is told under an epoch."""
    return base_of(epoch) + content.tip + 1


def started_event(run: Run) -> RunStarted:
    return RunStarted(run.base + START, run.thread_id, run.message_id, run.model)


def event_of(outcome: Outcome, seq: int, message_id: MessageId) -> TerminalEvent:
    """What an outcome is told as."""
    match outcome.status:
        case RunStatus.COMPLETED if outcome.usage is not None:
            return RunCompleted(seq, message_id, outcome.finish_reason or "stop", outcome.usage)
        case RunStatus.FAILED if outcome.error is not None:
            error = outcome.error
            return RunFailed(seq, error.code, error.detail, error.retryable, error.retry_after)
        case RunStatus.CANCELLED:
            return RunCancelled(seq, outcome.cancel_reason or CancelReason.USER)
        case RunStatus.INTERRUPTED:
            return RunInterrupted(seq)
    raise ValueError(f"{outcome.status} without what belongs to it")


def terminal_event(run: Run) -> TerminalEvent | None:
    """The terminal event that an ended run's row stands for; None while it lives."""
    if run.status.live:
        return None
    try:
        return event_of(run.outcome or Outcome(run.status), run.seq, run.message_id)
    except ValueError:
        raise ValueError(f"run {run.id} is {run.status} without what belongs to it") from None


@dataclass(frozen=True, slots=True)
class Interaction:
    """The record of one finished run, for analytics: who, where, what it cost. No text; it outlives its thread.

    Times are in milliseconds; None where nobody was left to measure them. `attempts`: how many workers took it on;
    `usage` is of all of them. `steps`: how often the model was asked for what is there, and `tools` are the calls that
    the last of them made.
    """

    run_id: RunId
    thread_id: ThreadId
    user_id: UserId
    model: str
    status: RunStatus
    usage: Usage | None
    first_piece_ms: int | None
    duration_ms: int | None
    error_code: str | None
    created_at: datetime
    guest_label: str | None = None
    attempts: int = 1
    steps: int = 1
    tools: tuple[ToolUse, ...] = ()
