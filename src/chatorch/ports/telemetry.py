"""What is worth counting and logging: runs, providers. Never the text of a message, never a secret."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import Run
from chatorch.domain.model.tools import ToolUse
from chatorch.ports.execution_store import RunEnd


class RunTelemetry(Protocol):
    @abstractmethod
    def started(self, run: Run) -> None: ...

    @abstractmethod
    def ended(self, run: Run, end: RunEnd, pieces: int) -> None:
        """`run` is as it was opened. Called once a run that ended here, after the end was stored."""
        ...

    @abstractmethod
    def lost(self, run: Run) -> None:
        """Somebody else ended a run that was executed here."""
        ...

    @abstractmethod
    def interrupted(self, count: int, reason: str) -> None:
        """So many runs of whoever no longer carries them out were ended here, as interrupted, after that was stored."""
        ...

    @abstractmethod
    def taken_over(self, run: Run) -> None:
        """A run of a worker that is gone is carried on here, under its new epoch."""
        ...

    @abstractmethod
    def failed(self, what: str, error: BaseException) -> None:
        """A fault of ours, not of the provider's or the store's, in `what`. To be logged without its message."""
        ...

    @abstractmethod
    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        """`what` could not be written now, and will be tried again; the error's text says why."""
        ...


class ModelTelemetry(Protocol):
    @abstractmethod
    def dropped(self, payloads: int) -> None:
        """A provider sent so many payloads that meant nothing, in an answer that has ended; its text lacks nothing."""
        ...


class ToolTelemetry(Protocol):
    @abstractmethod
    def called(self, use: ToolUse, cause: BaseException | None) -> None:
        """A tool was called. `cause` is what went wrong where it failed by one of our errors, or by its own; to be
        logged without its message. Neither arguments nor results are told."""
        ...
