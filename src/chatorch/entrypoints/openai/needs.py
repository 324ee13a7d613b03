"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.policy import ChatPolicy
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.given import Given
from chatorch.ports.system import Clock, IdFactory


class Needs(Protocol):
    @abstractmethod
    def policy(self) -> ChatPolicy: ...

    @abstractmethod
    def runs(self) -> Runs: ...

    @abstractmethod
    def conversations(self) -> Conversations: ...

    @abstractmethod
    def annotations(self) -> Annotations: ...

    @abstractmethod
    def ids(self) -> IdFactory: ...

    @abstractmethod
    def clock(self) -> Clock: ...


given = Given[Needs]()
