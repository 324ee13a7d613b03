"""Deciding who may open a run now."""

from abc import abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.identity import Principal


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The run that is asked for. `said_chars`: code points of what is said with it; 0 where it answers once more."""

    model: str
    said_chars: int


class AdmissionRule(Protocol):
    """One rate, quota or cap."""

    @abstractmethod
    async def admit(self, principal: Principal, request: RunRequest, place: ExitStack) -> LiveRunCap | None:
        """Lets the run be opened, or raises `TooMany` with the detail and the limit that the client is told.

        `place` lasts as long as the run is carried out here, or until it turns out that it is not opened: another rule
        or the store refused it, or an earlier request had opened it. What is taken for as long is given back by a
        callback on it, which must not wait. Returns a cap that only the store can hold exactly, None where there is
        none. Raises `Unavailable` where nobody can tell now.
        """
        ...
