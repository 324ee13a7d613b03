"""What the shared dependencies of all doors need of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.identity.identify import Identify
from chatorch.entrypoints.common.given import Given


class GuestSettings(Protocol):
    @property
    @abstractmethod
    def anonymous_chat(self) -> bool: ...


class Needs(Protocol):
    @abstractmethod
    def identify(self) -> Identify: ...

    @abstractmethod
    def settings(self) -> GuestSettings: ...


given = Given[Needs]()
