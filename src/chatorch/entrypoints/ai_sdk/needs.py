"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.conversations import Conversations
from chatorch.domain.services.identity.identify import Identify
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.given import Given
from chatorch.entrypoints.common.websocket.needs import Needs as SocketNeeds


class UiSettings(Protocol):
    @property
    @abstractmethod
    def anonymous_chat(self) -> bool: ...

    @property
    @abstractmethod
    def body_cap_bytes(self) -> int: ...


class Needs(SocketNeeds, Protocol):
    @abstractmethod
    def runs(self) -> Runs: ...

    @abstractmethod
    def conversations(self) -> Conversations: ...

    @abstractmethod
    def identify(self) -> Identify: ...

    @abstractmethod
    def settings(self) -> UiSettings: ...


given = Given[Needs]()
