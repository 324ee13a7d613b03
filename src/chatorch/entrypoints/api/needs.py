"""What this door needs of the container."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.execution.executor import Executor
from chatorch.domain.services.identity.sign_in import SignIn
from chatorch.domain.services.presence import Presence
from chatorch.domain.services.runs import Runs
from chatorch.domain.services.toolbox import Toolbox
from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.settings import Settings


class Readiness(Protocol):
    @property
    @abstractmethod
    def store(self) -> str:
        """``ok``, or what is wrong with it."""
        ...


class Backplane(Protocol):
    """`redis_up` is None where there is one process; `redis_problem` names what is wrong."""

    @property
    @abstractmethod
    def redis_up(self) -> Callable[[], bool] | None: ...

    @property
    @abstractmethod
    def redis_problem(self) -> Callable[[], str | None]: ...


class Needs(Protocol):
    @abstractmethod
    def sign_in(self) -> SignIn: ...

    @abstractmethod
    def runs(self) -> Runs: ...

    @abstractmethod
    def conversations(self) -> Conversations: ...

    @abstractmethod
    def toolbox(self) -> Toolbox: ...

    @abstractmethod
    def presence(self) -> Presence: ...

    @abstractmethod
    def executor(self) -> Executor: ...

    @abstractmethod
    def readiness(self) -> Readiness: ...

    @abstractmethod
    def backplane(self) -> Backplane: ...

    @abstractmethod
    def settings(self) -> Settings: ...


given = Given[Needs]()
