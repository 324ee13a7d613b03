"""What the stores of one process share: rows as records, and the rules by which they change together."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from chatorch.domain.model.annotations import SideItem
from chatorch.domain.model.conversation import (
    JsonObject,
    Message,
    MessageId,
    MessageStatus,
    RunId,
    Thread,
    ThreadId,
    Usage,
)
from chatorch.domain.model.errors import NotFound, StoreUnavailable
from chatorch.domain.model.identity import User, UserId
from chatorch.domain.model.part_pieces import PartPiece
from chatorch.domain.model.run import Interaction, Outcome, Run, RunStatus
from chatorch.domain.model.tools import Tally


@dataclass(slots=True)
class MessageRecord:
    """A message, whether a retry took it out of the history, and the client's own word for when it was written."""

    message: Message
    client_timestamp: str | None = None
    superseded: bool = False
    note: JsonObject | None = None


@dataclass(slots=True)
class SideRecord:
    """Something kept behind the message at `position`."""

    item: SideItem
    position: int
    superseded: bool = False


@dataclass(slots=True)
class ThreadRecord:
    """A thread and all messages it ever had, in the order of their positions, which begin at 1."""

    thread: Thread
    messages: list[MessageRecord] = field(default_factory=list)
    side_items: list[SideRecord] = field(default_factory=list)
    note: JsonObject | None = None
    ratings: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def shown(self) -> list[Message]:
        return [record.message for record in self.messages if not record.superseded]

    def find(self, message_id: MessageId) -> MessageRecord | None:
        return next((record for record in self.messages if record.message.id == message_id), None)

    def supersede_after(self, position: int) -> None:
        """What came after the message at `position` leaves the history."""
        for said in self.messages[position:]:
            said.superseded = True
        for kept in self.side_items:
            kept.superseded = kept.superseded or kept.position >= position

    def touch(self, now: datetime) -> None:
        """Moves `updated_at` forward, never back."""
        self.thread = replace(self.thread, updated_at=max(now, self.thread.updated_at))


@dataclass(slots=True)
class RunRecord:
    """A run, the assistant message that it writes, and what only stores know of it."""

    run: Run
    answer: MessageRecord
    guest_label: str | None
    heartbeat: int = 0
    beat_at: datetime | None = None
    spent: Usage | None = None
    kept: int = 0
    cancel_requested: bool = False
    pieces: dict[tuple[int, int], PartPiece] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsedKey:
    """An idempotency key that opened a run."""

    fingerprint: str
    run_id: RunId
    used_at: datetime


@dataclass(slots=True)
class State:
    """Everything that is kept. Whoever changes it does so without an `await`, so each change is one transaction."""

    available: bool = True
    read_only: bool = False
    users: dict[UserId, User] = field(default_factory=dict)
    user_ids: dict[str, UserId] = field(default_factory=dict)
    threads: dict[ThreadId, ThreadRecord] = field(default_factory=dict)
    runs: dict[RunId, RunRecord] = field(default_factory=dict)
    live: dict[RunId, RunRecord] = field(default_factory=dict)
    keys: dict[tuple[UserId, str], UsedKey] = field(default_factory=dict)
    interactions: dict[RunId, Interaction] = field(default_factory=dict)

    def require_available(self) -> None:
        """Raises `StoreUnavailable` while the store is switched off."""
        if not self.available:
            raise StoreUnavailable

    def require_writable(self) -> None:
        """Raises `StoreUnavailable` while the store is switched off, or takes no writes."""
        self.require_available()
        if self.read_only:
            raise StoreUnavailable

    def thread_of(self, owner_id: UserId, thread_id: ThreadId) -> ThreadRecord:
        """Raises `NotFound`, also for what belongs to another owner."""
        record = self.threads.get(thread_id)
        if record is None or record.thread.owner_id != owner_id:
            raise NotFound
        return record

    def named(self, owner_id: UserId, client_ref: str | None) -> Thread | None:
        """By its client's own id."""
        threads = (record.thread for record in self.threads.values() if record.thread.client_ref is not None)
        return next((t for t in threads if (t.owner_id, t.client_ref) == (owner_id, client_ref)), None)

    def run_of(self, owner_id: UserId, run_id: RunId) -> RunRecord:
        """Raises `NotFound`, also for what belongs to another owner."""
        record = self.runs.get(run_id)
        if record is None or record.run.owner_id != owner_id:
            raise NotFound
        return record

    def live_in(self, thread_id: ThreadId) -> Run | None:
        return next((record.run for record in self.live.values() if record.run.thread_id == thread_id), None)

    def live_of(self, owner_id: UserId) -> Iterator[Run]:
        return (record.run for record in self.live.values() if record.run.owner_id == owner_id)

    def remove(self, thread_id: ThreadId) -> None:
        """A thread with all that is in it, and its runs; interactions stay."""
        removed = {run_id for run_id, record in self.runs.items() if record.run.thread_id == thread_id}
        self.runs = {run_id: record for run_id, record in self.runs.items() if run_id not in removed}
        self.keys = {place: used for place, used in self.keys.items() if used.run_id not in removed}
        del self.threads[thread_id]

    def end_run(
        self,
        ended: Run,
        at: datetime,
        *,
        first_piece_ms: int | None = None,
        duration_ms: int | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Puts the ended run into its row, its message, its thread's time and its interaction."""
        record = self.live.pop(ended.id)
        record.run = ended
        complete = ended.status is RunStatus.COMPLETED
        record.answer.message = replace(
            record.answer.message.holding(ended.content),
            status=MessageStatus.COMPLETE if complete else MessageStatus.INCOMPLETE,
        )
        outcome = ended.outcome or Outcome(ended.status)
        self.threads[ended.thread_id].touch(at)
        self.interactions[ended.id] = Interaction(
            run_id=ended.id,
            thread_id=ended.thread_id,
            user_id=ended.owner_id,
            model=ended.model,
            status=ended.status,
            usage=outcome.usage,
            first_piece_ms=first_piece_ms,
            duration_ms=duration_ms,
            error_code=None if outcome.error is None else outcome.error.code,
            created_at=ended.created_at,
            guest_label=record.guest_label,
            attempts=ended.attempts,
            steps=tally.steps if tally else 1,
            tools=tally.tools if tally else (),
        )
