"""What processes tell each other about runs, beside the log."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Protocol

from chatorch.domain.model.conversation import RunId


class RunRelay(Protocol):
    """Makes quick what the store alone makes sure. Nothing here raises: others that cannot be reached are not told."""

    @abstractmethod
    def cancel(self, run_id: RunId) -> None:
        """Tells whoever executes it to look now, and not at the next checkpoint, who wants it cancelled."""
        ...

    @abstractmethod
    def cancelled(self) -> AsyncGenerator[RunId]:
        """Yields, for ever, the runs that other processes told to `cancel`, executed here or not."""
        ...

    @abstractmethod
    async def watched(self, run_ids: Collection[RunId]) -> frozenset[RunId]:
        """Which of these are followed in other processes. All of them where that cannot be known."""
        ...

    @abstractmethod
    async def rescue(self, run_ids: Collection[RunId]) -> Mapping[RunId, str]:
        """All text that was last told of runs executed elsewhere; without those of which nothing is known."""
        ...

    @abstractmethod
    def disown(self, run_id: RunId, epoch: int) -> None:
        """The run was ended by recovery, under this (the raised) epoch.

        What an executor of an earlier epoch still tells is refused everywhere, and its followers, who may have seen
        more than was stored, are sent to the run's row.
        """
        ...
