"""Letting devices in: the name of each is in its address, and its token may come in its first frame."""

import re

from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.errors import ChatorchError
from chatorch.domain.model.presence import ClientId
from chatorch.domain.services.identity.identify import Identified
from chatorch.entrypoints.common.problems import http_problem
from chatorch.entrypoints.common.websocket.closing import BAD_TOKEN
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.handshake import identified
from chatorch.entrypoints.common.websocket.speech import OpenSocket, Speech
from chatorch.entrypoints.common.websocket.wire import Wire
from chatorch.entrypoints.ws.frames import Auth, FrameRefused, read_frame
from chatorch.entrypoints.ws.socket import Services, Socket

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class DeviceSpeech(Speech):
    def __init__(self, services: Services) -> None:
        self._services = services

    def refusal(self, scope: Scope) -> Response | None:
        return None if _CLIENT_ID.fullmatch(scope["path_params"]["client_id"]) else http_problem(404)

    async def entry(self, text: str, scope: Scope) -> Identified | int:  # noqa: ARG002
        try:
            frame = read_frame(text)
        except FrameRefused:
            return BAD_TOKEN
        return await identified(self._services.identify, frame.token) if isinstance(frame, Auth) else BAD_TOKEN

    def turned_away(self, text: str, error: ChatorchError) -> bytes:  # noqa: ARG002
        return b""

    def open(self, wire: Wire, holder: Identified, scope: Scope, limiter: FrameLimiter) -> OpenSocket:
        return Socket(self._services, wire, ClientId(scope["path_params"]["client_id"]), holder, limiter)
