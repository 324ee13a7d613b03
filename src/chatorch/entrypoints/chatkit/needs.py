"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.identity.revocation import Revocation
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.given import Given
from chatorch.ports.system import IdFactory


class Needs(Protocol):
    @abstractmethod
    def runs(self) -> Runs: ...

    @abstractmethod
    def conversations(self) -> Conversations: ...

    @abstractmethod
    def annotations(self) -> Annotations: ...

    @abstractmethod
    def revocation(self) -> Revocation: ...

    @abstractmethod
    def ids(self) -> IdFactory: ...

    @abstractmethod
    def metrics(self) -> Counters: ...


given = Given[Needs]()
