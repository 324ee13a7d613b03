"""What live runs say, for whoever listens."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.parts import NOTHING, Facts, PartKind
from chatorch.domain.model.run import RunEvent, RunStarted, Silence, TerminalEvent


class RunLog(Protocol):
    """One log a live run. Its executor writes, any number of followers read, each at its own pace.

    Writing never waits and never fails: whatever an adapter must send elsewhere, it sends behind the scenes.
    """

    @abstractmethod
    def open(self, run_id: RunId, epoch: int, started: RunStarted) -> None:
        """Begins the log of a run that this process executes, under the epoch of its row."""
        ...

    @abstractmethod
    def append(self, run_id: RunId, text: str) -> None:
        """Adds a piece of text (not empty) to the part that is open. A no-op where the log is not open here."""
        ...

    @abstractmethod
    def start_part(self, run_id: RunId, kind: PartKind, head: Facts = NOTHING) -> None:
        """Begins another part. As `append`; raises `ValueError` while one is open, the message's own text apart."""
        ...

    @abstractmethod
    def end_part(self, run_id: RunId, result: Facts = NOTHING) -> None:
        """Ends the part that is open. As `append`; raises `ValueError` where there is none."""
        ...

    @abstractmethod
    def end(self, run_id: RunId, terminal: TerminalEvent) -> None:
        """Adds the terminal event and closes the log. A no-op where the log is not open here."""
        ...

    @abstractmethod
    def abandon(self, run_id: RunId) -> None:
        """Closes the log without a terminal event: somebody else ended the run, and its row says how. No-op if gone."""
        ...

    @abstractmethod
    def content(self, run_id: RunId) -> Content | None:
        """All content so far; None where the log is not open here, or has ended."""
        ...

    @abstractmethod
    def base(self, run_id: RunId) -> int | None:
        """From where the positions of that content are counted (`chatorch.domain.model.run.base_of`); None as there."""
        ...

    @abstractmethod
    def follow(self, run_id: RunId, after: int) -> AsyncGenerator[RunEvent | Silence]:
        """Yields what comes after position `after`, live: no gap, no repeat, no piece of a body over `PIECE_CHARS`.

        A follower ahead of the content, which may be a copy that is a moment behind, waits until it is passed; where
        the end comes first, it begins anew with a snapshot before that. One of an earlier epoch begins anew at once.
        `SILENCE` comes when nothing was said for two to four seconds. Ends after the terminal event; ends without one
        where this log has no more to say (never open here, or abandoned): then the run's row tells.
        """
        ...
