"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.common.run_responses import RunResponses
from chatorch.ports.system import Clock


class Needs(Protocol):
    @abstractmethod
    def conversations(self) -> Conversations: ...

    @abstractmethod
    def run_responses(self) -> RunResponses: ...

    @abstractmethod
    def clock(self) -> Clock: ...


given = Given[Needs]()
