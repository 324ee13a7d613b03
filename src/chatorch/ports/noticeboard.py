"""Where processes show each other their figures, and add up what they have counted."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Board:
    """What the other processes show now, `mates` those of the same server and `strangers` all else.

    `processed` is how many messages the others have processed, of whatever server, living or gone. `counted` is what
    the processes of this server have counted together, living or gone, this one as of its last post; None where this
    one's is not in it, or nothing else is.
    """

    mates: Sequence[bytes] = ()
    strangers: Sequence[bytes] = ()
    processed: int = 0
    counted: Mapping[str, float] | None = None


class Noticeboard(Protocol):
    """No method raises: where others cannot be reached, nothing is shown and nothing read."""

    @abstractmethod
    async def post(self, figures: bytes, processed: int, counts: Mapping[str, float]) -> bool:
        """Shows this process's figures for 15 s, in place of what it showed before.

        The messages that it has processed, and whatever else it counts, are totals since it started, and never fall.
        They stay when it is gone. False where it could not be done; what was lost by that comes with the next post.
        """
        ...

    @abstractmethod
    async def read(self) -> Board: ...

    @abstractmethod
    async def withdraw(self) -> None:
        """Shows nothing any more. What was counted stays."""
        ...
