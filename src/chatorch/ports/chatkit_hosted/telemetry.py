"""What is worth counting and logging of sessions."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.chatkit_hosted.session import ClientSession, SessionStatus
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.upstream_errors import UpstreamError


class SessionTelemetry(Protocol):
    @abstractmethod
    def session(self, session: ClientSession, status: SessionStatus, error: UpstreamError | None = None) -> None:
        """What became of a ChatKit session here, and how the provider failed, where it did."""
        ...

    @abstractmethod
    def failed(self, what: str, error: BaseException) -> None:
        """As in `RunTelemetry`."""
        ...

    @abstractmethod
    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        """As in `RunTelemetry`."""
        ...
