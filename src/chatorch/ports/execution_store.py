"""Where runs are kept, as their executors report them."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Protocol

from chatorch.domain.model.content import START, Content
from chatorch.domain.model.conversation import Message, RunId, Usage
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.part_pieces import PartPiece
from chatorch.domain.model.run import LastContent, Outcome, Run, end_seq
from chatorch.domain.model.tools import Tally


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A live run as its executor has it; `text` None where nothing came since the last checkpoint.

    `text` is what stands from `start` on in its joined text, in code points: with 0 the whole, which replaces what was
    saved, else a tail of it. `start` is then where the text ended that is known to be saved. After an attempt that was
    not answered the same `start` comes again, with as much text or more; and the whole again, where it was the whole.
    `parts` are what is new of the parts beside the first, in the same way, and `tip` is `Content.tip` of all of it; a
    message of nothing but text has neither. `kept`, where it has moved: up to which position of the content all stands,
    whoever takes the run over (`chatorch.domain.model.calls.kept_content`); 0 is before the beginning. `used`, beside
    it: what the run has used up to there, with all its attempts.
    """

    run_id: RunId
    epoch: int
    text: str | None
    start: int = 0
    parts: tuple[PartPiece, ...] = ()
    tip: int | None = None
    kept: int | None = None
    used: Usage | None = None

    @property
    def news(self) -> bool:
        return self.says_more or self.kept is not None

    @property
    def says_more(self) -> bool:
        return self.text is not None or bool(self.parts)

    @property
    def position(self) -> int:
        """After all of the content, where there is news."""
        return START + self.start + len(self.text or "") if self.tip is None else self.tip


class Ownership(Enum):
    """What a checkpoint learns of a run: go on, stop (its user asked), or somebody else ended it.

    `HELD`: another transaction held its rows at that moment, so it was not saved; the next checkpoint will.
    """

    MINE = "mine"
    HELD = "held"
    CANCEL = "cancel"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run, as its executor reports it. Durations in milliseconds.

    `refused`: the provider refused the user's message, without a word of text. `upstream_status` and `cause` are
    `UpstreamError`'s, for a log, and not kept. `tally` is of a turn of several steps.
    """

    run_id: RunId
    epoch: int
    outcome: Outcome
    content: Content
    finished_at: datetime
    first_piece_ms: int | None = None
    duration_ms: int | None = None
    refused: bool = False
    upstream_status: int | None = None
    cause: str | None = None
    tally: Tally | None = None

    @property
    def seq(self) -> int:
        """The terminal event's."""
        return end_seq(self.epoch, self.content)


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What a reaper compares. `heartbeat` is a counter: only its standing still means anything.

    `created_at`, and `beat_at`, when it moved last by its executor's clock, are for who asks how long ago it was; a
    release before this one does not say.
    """

    run_id: RunId
    epoch: int
    heartbeat: int
    owner_id: UserId = field(default=UserId(""), compare=False)
    created_at: datetime | None = field(default=None, compare=False)
    beat_at: datetime | None = field(default=None, compare=False)
    cancel_requested: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that was taken over: under a new epoch, queued, with the content that it had (`Run.base`).

    `history` is as in `OpenedRun`. `spent` is what its earlier attempts used: what its checkpoints said last, and an
    estimate of what came after that. `kept` is what they said last, too. `cancel_requested`: it is only to be ended.
    """

    run: Run
    history: tuple[Message, ...]
    spent: Usage
    kept: int = 0
    cancel_requested: bool = False


class ExecutionStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    The run's row decides: each write holds only where the run is live and of the writer's epoch.
    """

    @abstractmethod
    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        """Saves contents and positions and moves heartbeats, at `now`; every run handed in is answered for.

        A run of which there is news becomes `streaming`; of one that was taken over, the news stand in place of what
        the attempt before had said. Another's or an ended run is `LOST`, and left alone. It does
        not wait for a run whose rows are held, so that one run does not hold up the heartbeats of the others.
        """
        ...

    @abstractmethod
    async def finish(self, end: RunEnd) -> bool:
        """Writes run, message (complete only where completed), thread time and interaction. True if the end is mine.

        A user's message that was refused becomes incomplete (`chatorch.domain.model.conversation.refused`).
        So it is also when an earlier, unanswered attempt of the same epoch has done it. False: somebody else's.
        """
        ...

    @abstractmethod
    async def live_runs(self) -> Sequence[LiveRun]:
        """All live runs of all workers."""
        ...

    @abstractmethod
    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:
        """As `live_runs`, for who counts time against heartbeats: seen in a transaction that wrote, and committed.

        Where a checkpoint could not be written (a store that takes no writes, a table that is locked) it raises
        `StoreUnavailable`; of `quiet`, the heartbeats themselves are tried, and not moved. It waits for no executor,
        and stands in none's way. Of `quiet` those are left out whose row is held by another transaction, which may be
        the one with the heartbeat.
        """
        ...

    @abstractmethod
    async def claim(
        self,
        runs: Sequence[LiveRun],
        now: datetime,
        contents: Mapping[RunId, LastContent] = MappingProxyType({}),
        *,
        history_chars: int,
    ) -> Sequence[ClaimedRun]:
        """Takes over those that are live and exactly as seen, as `interrupt` ends them, with `contents` as there.

        Under the next epoch: whoever executed one before writes no more. `now` counts as its heartbeat. Returns those
        that it took; `history_chars` is `NewRun`'s.
        """
        ...

    @abstractmethod
    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, LastContent] = MappingProxyType({})
    ) -> Sequence[RunId]:
        """Ends as `interrupted`, with the content saved, those that are live and exactly as seen (epoch and heartbeat).

        Waits for no lock: those whose rows are held are left alone, and where a table is locked it raises, unless it
        has ended some by then. Many are ended in several transactions.
        Where `contents` has a fresher content than was saved (`LastContent.replaces`), that one is
        kept. Raises their epoch, under which the terminal event is told. Writes messages, thread times and
        interactions too. Returns which it ended.
        """
        ...
