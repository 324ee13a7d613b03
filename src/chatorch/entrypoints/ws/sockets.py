"""All WebSockets of this process: letting them in, and out when their time is over."""

import asyncio

import structlog
from starlette.types import Receive, Scope, Send

from chatorch.domain.model.errors import ChatorchError, StoreUnavailable, Unavailable
from chatorch.domain.model.presence import ClientId
from chatorch.domain.services.identity.identify import Identified
from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.fair_turns import FairTurns
from chatorch.entrypoints.common.origins import AllowedOrigins
from chatorch.entrypoints.common.problems import domain_problem
from chatorch.entrypoints.common.response_headers import sealed
from chatorch.entrypoints.common.websocket.closing import BAD_TOKEN, BROKEN, NOT_TEXT
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.handshake import close_code, offered_token, refusal, subprotocol, unsupported
from chatorch.entrypoints.common.websocket.pace import Pace
from chatorch.entrypoints.common.websocket.wire import Wire, wire_of
from chatorch.entrypoints.settings import Settings
from chatorch.entrypoints.ws.frames import Auth, FrameRefused, ack, read_frame
from chatorch.entrypoints.ws.socket import Services, Socket, identified
from chatorch.entrypoints.ws.token_expiry import TokenExpiry
from chatorch.ports.system import Clock

CHECK_S = 2.0
"""How often it is looked whose token has run out, who is disabled, and who has a new password."""

Headers = list[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)


class Sockets:
    def __init__(self, services: Services, metrics: Counters, clock: Clock, settings: Settings) -> None:
        self._services = services
        self._metrics = metrics
        self._clock = clock
        self._settings = settings
        self._origins = AllowedOrigins(settings.cors_origins)
        self._pace = Pace(settings.max_connections_per_user, clock.monotonic)
        self.token_expiry = TokenExpiry(services.identify, clock)
        self.partings = FairTurns()

    # -- letting in ------------------------------------------------------------------------------------------------

    async def serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> int:
        """Until it ends. Returns its close code, or the status of what was answered in place of an upgrade.

        `headers` are added to either answer. Who brings a bad token is let in and sent away: a refused upgrade tells
        a browser nothing.
        """
        wire = wire_of(scope)
        response = refusal(scope, self._origins)
        token: str | None = None
        entry: Identified | int | None = None
        if response is None:
            try:
                token = offered_token(scope)
                entry = None if token is None else await identified(self._services.identify, token)
            except Unavailable as error:
                response = domain_problem(error)
            except ChatorchError as error:
                entry = close_code(error)
        if response is not None or wire is None:
            response = response or unsupported()
            response.raw_headers[:] = sealed(response.status_code, [*response.raw_headers, *headers])
            await response(scope, receive, send)
            return response.status_code
        await receive()
        if token is not None and isinstance(entry, Identified) and (wait_s := self._wait_s(entry)):
            if await _left_within(wait_s, receive):
                return BROKEN
            entry = await self._entry(token)
        await send({"type": "websocket.accept", "subprotocol": subprotocol(scope), "headers": headers})
        wire.limit(self._settings.ws_queue_bytes)
        with self._metrics.connection():
            if entry is None:
                entry = await self._first_frame(wire, receive)
            if isinstance(entry, int):
                wire.hang_up(entry)
                return entry
            return await self._connected(wire, ClientId(scope["path_params"]["client_id"]), entry, receive)

    async def _first_frame(self, wire: Wire, receive: Receive) -> Identified | int:
        """Whose token the first frame brings; else why to close."""
        try:
            async with asyncio.timeout(self._settings.ws_auth_deadline_s):
                message = await receive()
        except TimeoutError:
            return BAD_TOKEN
        if message["type"] == "websocket.disconnect":
            return int(message["code"])
        if message.get("text") is None:
            return NOT_TEXT
        try:
            frame = read_frame(message["text"])
        except FrameRefused:
            return BAD_TOKEN
        if not isinstance(frame, Auth):
            return BAD_TOKEN
        entry = await self._entry(frame.token)
        if isinstance(entry, Identified) and (wait_s := self._wait_s(entry)):
            while wait_s > 0 and wire.is_open:
                await self._clock.sleep(min(wait_s, CHECK_S))
                wait_s -= CHECK_S
            entry = await self._entry(frame.token) if wire.is_open else BROKEN
        if isinstance(entry, Identified):
            wire.put(ack(frame.id))
        return entry

    async def _entry(self, token: str) -> Identified | int:
        """Who comes in with it now; else why to close. Asked again of who had to wait: that may have been for long."""
        try:
            return await identified(self._services.identify, token)
        except ChatorchError as error:
            return close_code(error)

    def _wait_s(self, holder: Identified) -> float:
        """How long until this user's next turn."""
        return self._pace.wait_s(holder.principal.user_id)

    async def _connected(self, wire: Wire, client_id: ClientId, holder: Identified, receive: Receive) -> int:
        wire.admitted()
        limiter = FrameLimiter(self._settings.ws_flood_limit, self._clock.monotonic)
        socket = Socket(self._services, wire, client_id, holder, limiter)
        with self.token_expiry.watching(socket):
            return await socket.listen(receive)

    # -- letting out -----------------------------------------------------------------------------------------------

    async def keep_checked(self) -> None:
        """For ever: closes the connections whose token is no good any more, at most some 3 s later."""
        while True:
            await self._clock.sleep(CHECK_S)
            self._pace.forget()
            try:
                await self.token_expiry.check()
            except StoreUnavailable:
                continue  # what cannot be known closes nobody
            except Exception:  # the next round must come
                log.exception("socket_check_failed")


async def _left_within(seconds: float, receive: Receive) -> bool:
    """Whether the client left. It has nothing to say before it is let in (RFC 6455, 4.1)."""
    try:
        async with asyncio.timeout(seconds):
            await receive()
    except TimeoutError:
        return False
    return True
