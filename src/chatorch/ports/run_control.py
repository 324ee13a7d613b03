"""What processes tell each other about runs, beside the log."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import LastContent


@dataclass(frozen=True, slots=True)
class CancelCall:
    """A run to be stopped; with `if_unfollowed` only where nobody follows it."""

    run_id: RunId
    if_unfollowed: bool = False


class RunControl(Protocol):
    """Makes quick what the store alone makes sure. Nothing here raises: others that cannot be reached are not told."""

    @abstractmethod
    def cancel(self, call: CancelCall) -> None:
        """Tells whoever executes it to stop now, and not at the next checkpoint."""
        ...

    @abstractmethod
    def cancelled(self) -> AsyncGenerator[CancelCall]:
        """Yields, for ever, what other processes told to `cancel`, executed here or not."""
        ...

    @abstractmethod
    async def watched(self, run_ids: Collection[RunId]) -> frozenset[RunId]:
        """Which of these are followed in other processes. All of them where that cannot be known."""
        ...

    @abstractmethod
    async def last_content(self, run_ids: Collection[RunId]) -> Mapping[RunId, LastContent]:
        """All content that was last told of runs executed elsewhere; without those of which nothing is known."""
        ...

    @abstractmethod
    def fence(self, run_id: RunId, epoch: int) -> None:
        """Whoever executed the run up to this epoch does so no more: it was ended, or taken over under the next one.

        What an executor of this epoch or an earlier one still tells is refused everywhere, and its followers, who may
        have seen more than was stored, are sent to the run's row.
        """
        ...
