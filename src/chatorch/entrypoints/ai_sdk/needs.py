"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.given import Given


class Needs(Protocol):
    @abstractmethod
    def runs(self) -> Runs: ...

    @abstractmethod
    def conversations(self) -> Conversations: ...


given = Given[Needs]()
