"""Letting in the sockets of `WebSocketChatTransport`: by the handshake, else by what the first request says."""

from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.errors import ChatorchError, NotAuthenticated
from chatorch.domain.services.identity.identify import Identified
from chatorch.entrypoints.ai_sdk.frames import Refused, Unanswerable, failed, read_frame, token_of
from chatorch.entrypoints.ai_sdk.needs import given
from chatorch.entrypoints.ai_sdk.socket import Services, UiSocket
from chatorch.entrypoints.ai_sdk.turns import Turns
from chatorch.entrypoints.common.middleware.access_log import client_address
from chatorch.entrypoints.common.websocket.closing import BAD_FRAME
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.handshake import identified
from chatorch.entrypoints.common.websocket.speech import OpenSocket, Speech
from chatorch.entrypoints.common.websocket.wire import Wire


class UiSpeech(Speech):
    """Guests come in where `guests` says so: each is one as long as it is connected."""

    def __init__(self, services: Services, *, guests: bool) -> None:
        self._services = services
        self._guests = guests

    def refusal(self, scope: Scope) -> Response | None:  # noqa: ARG002
        return None

    async def entry(self, text: str, scope: Scope) -> Identified | int:
        try:
            frame = read_frame(text)
        except Unanswerable:
            return BAD_FRAME
        except Refused as refused:
            raise refused.error from None
        token = token_of(frame)
        if token is not None:
            return await identified(self._services.identify, token)
        if not self._guests:
            raise NotAuthenticated
        return Identified(self._services.identify.guest(client_address(scope)), None)

    def turned_away(self, text: str, error: ChatorchError) -> bytes:
        try:
            return failed(read_frame(text).request_id, error)
        except Refused as refused:
            return failed(refused.request_id, error)
        except Unanswerable:
            return b""

    def open(self, wire: Wire, holder: Identified, scope: Scope, limiter: FrameLimiter) -> OpenSocket:  # noqa: ARG002
        return UiSocket(self._services, wire, holder, limiter)


def speech(scope: Scope) -> UiSpeech:
    """Of the application in whose scope a connection is."""
    c = given.of(scope)
    settings = c.settings()
    services = Services(
        identify=c.identify(),
        runs=c.runs(),
        turns=Turns(c.runs(), c.conversations()),
        seats=c.sockets().seats,
        frame_bytes=settings.body_cap_bytes,
    )
    return UiSpeech(services, guests=settings.anonymous_chat)
