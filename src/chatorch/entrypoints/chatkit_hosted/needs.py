"""What this door needs of the container."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.services.chatkit_hosted.history import HostedHistory
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitSessions
from chatorch.entrypoints.common.given import Given


class Needs(Protocol):
    @abstractmethod
    def chatkit_sessions(self) -> ChatKitSessions: ...

    @abstractmethod
    def chatkit_history(self) -> HostedHistory: ...


given = Given[Needs]()
