"""A run: one generation, its events, and how it may end.

`seq` is a position, not a count. `run.started` is 1; text follows, one position a code point; so the position after
a text is `1 + len(text)`, and the terminal event is one further. Whoever knows the text knows every position: a
resume at any of them is a slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage
from chatorch.domain.model.identity import UserId

STARTED_SEQ = 1

PIECE_CHARS = 4096
"""A longer text is told in pieces: nobody need hold it all, and a client library may take no frame over 1 MiB."""

TAKEOVER_GAP = 2**32
"""How much further an end lies that another than the executor wrote.

The executor's followers may have seen more text than was stored; a terminal event beyond anything they saw still
reaches them.
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
    code: str
    detail: str
    retryable: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Run:
    """One generation, as it is stored.

    `message_id` is the assistant message that it writes, `user_message_id` the one it answers; `text` is the
    assistant message's text so far. `seq` is the position after `text` while the run lives, and the terminal
    event's own once it has ended. `epoch` rises when another worker takes the run over.
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
    seq: int = STARTED_SEQ
    text: str = ""
    finished_at: datetime | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    error: RunError | None = None
    cancel_reason: CancelReason | None = None


# -- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarted:
    seq: int
    thread_id: ThreadId
    message_id: MessageId
    model: str


@dataclass(frozen=True, slots=True)
class MessageDelta:
    """Text to append. `seq` is the position after it."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class MessageSnapshot:
    """The text from its beginning, to replace what the client has. `seq` is the position after it."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class RunCompleted:
    seq: int
    message_id: MessageId
    finish_reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class RunFailed:
    """`retry_after` (seconds) is the provider's wish; it becomes a header, not a member of the event."""

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
RunEvent = RunStarted | MessageDelta | MessageSnapshot | TerminalEvent

TERMINAL_EVENTS = (RunCompleted, RunFailed, RunCancelled, RunInterrupted)


class Silence:
    """Stands where no event came for a while: a door may send a keep-alive. It is no event and has no position."""

    __slots__ = ()


SILENCE = Silence()
STORE_AWAY = Silence()
"""The silence of a run of which only its row can tell, while the store does not answer."""


# -- rules ---------------------------------------------------------------------------------------------------------


def position_after(text: str) -> int:
    return STARTED_SEQ + len(text)


def started_event(run: Run) -> RunStarted:
    return RunStarted(STARTED_SEQ, run.thread_id, run.message_id, run.model)


def terminal_event(run: Run) -> TerminalEvent | None:
    """The terminal event that an ended run's row stands for; None while it lives."""
    match run.status:
        case RunStatus.COMPLETED if run.usage is not None:
            return RunCompleted(run.seq, run.message_id, run.finish_reason or "stop", run.usage)
        case RunStatus.FAILED if run.error is not None:
            return RunFailed(run.seq, run.error.code, run.error.detail, run.error.retryable)
        case RunStatus.CANCELLED:
            return RunCancelled(run.seq, run.cancel_reason or CancelReason.USER)
        case RunStatus.INTERRUPTED:
            return RunInterrupted(run.seq)
        case RunStatus.QUEUED | RunStatus.STREAMING:
            return None
    raise ValueError(f"run {run.id} is {run.status} without what belongs to it")


def next_delta(text: str, after: int) -> MessageDelta:
    """What follows a position in a text, as far as it goes into one piece."""
    start = after - STARTED_SEQ
    piece = text[start : start + PIECE_CHARS]
    return MessageDelta(after + len(piece), piece)


def first_of(text: str) -> MessageSnapshot:
    """For a client that must begin anew: what it cannot hold follows as deltas."""
    piece = text[:PIECE_CHARS]
    return MessageSnapshot(position_after(piece), piece)


def replay(run: Run, after: int) -> Iterator[RunEvent]:
    """What a stored run still has to say to a client that stands at position `after` (0: at the start).

    Nothing once it has the terminal event. A client ahead of the stored text gets, once the run has ended, a
    snapshot and the end; while the run lives it gets nothing yet: the next checkpoint will pass it. Text comes in
    pieces of `PIECE_CHARS`, each made when it is asked for.
    """
    terminal = terminal_event(run)
    if terminal is not None and after >= terminal.seq:
        return
    if after < STARTED_SEQ:
        yield started_event(run)
        after = STARTED_SEQ
    position = position_after(run.text)
    if after > position and terminal is not None:
        yield (snapshot := first_of(run.text))
        after = snapshot.seq
    while after < position:
        yield (delta := next_delta(run.text, after))
        after = delta.seq
    if terminal is not None:
        yield terminal


@dataclass(frozen=True, slots=True)
class Interaction:
    """The record of one finished run, for analytics: who, where, what it cost. No text; it outlives its thread.

    Times are in milliseconds; None where nobody was left to measure them.
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
