"""What an operator may read of a run: whosever it is, and never its text."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Interaction, Run


@dataclass(frozen=True, slots=True)
class RunRow:
    """`run` is without its text. Sizes in code points: of the user's message, and of the answer as last saved, its text
    and each of its parts."""

    run: Run
    heartbeat: int
    cancel_requested: bool
    guest_label: str | None
    question_chars: int
    answer_chars: int
    part_chars: Mapping[PartKind, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class RunLife:
    """`row` is None where the thread was deleted, `interaction` where the run has not ended."""

    row: RunRow | None
    interaction: Interaction | None


class RunLives(Protocol):
    @abstractmethod
    async def read(self, run_id: str) -> RunLife:
        """One transaction, which writes nothing. Raises `NotFound` and `StoreUnavailable`."""
        ...
