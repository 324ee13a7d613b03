"""What a door says through its sockets: the part of a connection that is its own."""

from abc import abstractmethod
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope

from chatorch.domain.model.errors import ChatorchError
from chatorch.domain.services.identity.identify import Identified
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.wire import Wire


class OpenSocket(Protocol):
    """One connection that was let in. `holder` is whose it is: it may bring another token meanwhile."""

    holder: Identified

    @abstractmethod
    def hang_up(self, code: int) -> None: ...

    @abstractmethod
    async def listen(self, receive: Receive, first: str | None) -> int:
        """Until the connection ends; returns its close code. `first` is the frame that let it in, if one did."""
        ...


class Speech(Protocol):
    """How a door speaks."""

    @abstractmethod
    def refusal(self, scope: Scope) -> Response | None:
        """What to answer in place of the upgrade; None where nothing in its address speaks against it."""
        ...

    @abstractmethod
    async def entry(self, text: str, scope: Scope) -> Identified | int:
        """Who comes in by the first frame, where the handshake brought no token; or why to close.

        Asked once more of who had to wait. Raises what `Identify.holder` does.
        """
        ...

    @abstractmethod
    def turned_away(self, text: str, error: ChatorchError) -> bytes:
        """What is told, before the close, to whose first frame does not let it in; mostly nothing."""
        ...

    @abstractmethod
    def open(self, wire: Wire, holder: Identified, scope: Scope, limiter: FrameLimiter) -> OpenSocket: ...
