"""What live runs say, for whoever listens."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Protocol

from chatorch.domain.model.conversation import RunId
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
        """Adds a piece of text (not empty). A no-op where the log is not open here."""
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
    def text(self, run_id: RunId) -> str | None:
        """The whole text so far; None where the log is not open here, or has ended."""
        ...

    @abstractmethod
    def follow(self, run_id: RunId, after: int) -> AsyncGenerator[RunEvent | Silence]:
        """Yields what comes after position `after`, live: no gap, no repeat, no piece of text over `PIECE_CHARS`.

        A follower ahead of the text, which may be a copy that is a moment behind, waits until it is passed; where the
        end comes first, it begins anew with a snapshot before that. `SILENCE` comes when nothing was said for two to
        four seconds. Ends after the terminal event; ends without one where this log has no more to say (never open
        here, or abandoned): then the run's row tells.
        """
        ...
