"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.policy import ChatPolicy
from chatorch.entrypoints.common.given import Given


class Needs(Protocol):
    @abstractmethod
    def policy(self) -> ChatPolicy: ...


given = Given[Needs]()
