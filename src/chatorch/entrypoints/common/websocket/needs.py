"""What a door with sockets needs of the container for them."""

from abc import abstractmethod
from typing import Protocol

from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.common.websocket.sockets import Sockets


class Needs(Protocol):
    @abstractmethod
    def sockets(self) -> Sockets: ...


given = Given[Needs]()
