"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.ws.sockets import Sockets


class Needs(Protocol):
    @abstractmethod
    def sockets(self) -> Sockets: ...


given = Given[Needs]()
