"""Where processes show each other their figures."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Board:
    """What the other processes show, and how many messages all of them, living or gone, have processed.

    `processed` is None where that is not known: nobody else can be asked.
    """

    shown: Sequence[bytes]
    processed: int | None


class Noticeboard(Protocol):
    """Neither method raises: where others cannot be reached, nothing is shown and nothing read."""

    @abstractmethod
    async def post(self, figures: bytes, processed: int) -> bool:
        """Shows this process's figures for 15 s, in place of what it showed before.

        Adds to the messages processed. False where it could not be done: then nothing was added.
        """
        ...

    @abstractmethod
    async def read(self) -> Board: ...
