"""All WebSockets of this process: letting them in, and out when their time is over."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import structlog
from starlette.types import Receive, Scope, Send

from chatorch.domain.model.errors import ChatorchError, StoreUnavailable, Unavailable
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.fair_turns import FairTurns
from chatorch.entrypoints.common.origins import AllowedOrigins
from chatorch.entrypoints.common.problems import domain_problem, http_problem
from chatorch.entrypoints.common.response_headers import sealed
from chatorch.entrypoints.common.websocket.closing import BAD_TOKEN, BROKEN, NOT_TEXT
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.handshake import (
    close_code,
    foreign,
    identified,
    offered_token,
    subprotocol,
    unsupported,
)
from chatorch.entrypoints.common.websocket.pace import Pace
from chatorch.entrypoints.common.websocket.seats import Seats
from chatorch.entrypoints.common.websocket.speech import Speech
from chatorch.entrypoints.common.websocket.token_expiry import TokenExpiry
from chatorch.entrypoints.common.websocket.wire import Wire, wire_of
from chatorch.ports.system import Clock

CHECK_S = 2.0
"""How often it is looked whose token has run out, who is disabled, and who has a new password."""

Headers = list[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SocketBounds:
    """`origins` are the pages that may connect, `of_user` the connections that one user may have, `queued_bytes` what
    waits for a client that does not read, `frames` what one may send in 10 s. It has `first_frame_s` to say whose it is
    (seconds), where the handshake did not."""

    origins: Collection[str]
    of_user: int
    queued_bytes: int
    frames: int
    first_frame_s: float


class Sockets:
    def __init__(self, identify: Identify, metrics: Counters, clock: Clock, bounds: SocketBounds) -> None:
        self._identify = identify
        self._metrics = metrics
        self._clock = clock
        self._bounds = bounds
        self._origins = AllowedOrigins(bounds.origins)
        self._pace = Pace(bounds.of_user, clock.monotonic)
        self.token_expiry = TokenExpiry(identify, clock)
        self.seats = Seats(bounds.of_user)
        self.partings = FairTurns()

    # -- letting in ------------------------------------------------------------------------------------------------

    async def serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers, speech: Speech | None) -> int:
        """Until it ends. Returns its close code, or the status of what was answered in place of an upgrade.

        `headers` are added to either answer. Who brings a bad token is let in and sent away: a refused upgrade tells
        a browser nothing.
        """
        wire = wire_of(scope)
        response = foreign(scope, self._origins) or (http_problem(404) if speech is None else speech.refusal(scope))
        token: str | None = None
        entry: Identified | int | None = None
        if response is None:
            try:
                token, entry = await self._offered(scope)
            except Unavailable as error:
                response = domain_problem(error)
        if response is not None or wire is None or speech is None:
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
        wire.limit(self._bounds.queued_bytes)
        with self._metrics.connection():
            first: str | None = None
            if entry is None:
                first, entry = await self._by_first_frame(wire, scope, receive, speech)
            if isinstance(entry, int):
                wire.hang_up(entry)
                return entry
            if not entry.principal.guest:
                wire.admitted()
            limiter = FrameLimiter(self._bounds.frames, self._clock.monotonic)
            socket = speech.open(wire, entry, scope, limiter)
            with self.token_expiry.watching(socket):
                return await socket.listen(receive, first)

    async def _offered(self, scope: Scope) -> tuple[str | None, Identified | int | None]:
        """The token of the handshake, and whom it lets in, else why to close; nobody where there is none.

        Raises `Unavailable` where that cannot be known.
        """
        token = None
        try:
            token = offered_token(scope)
            return token, None if token is None else await identified(self._identify, token)
        except Unavailable:
            raise
        except ChatorchError as error:
            return token, close_code(error)

    async def _by_first_frame(
        self, wire: Wire, scope: Scope, receive: Receive, speech: Speech
    ) -> tuple[str, Identified | int]:
        """The frame, and whom it lets in; else why to close."""
        try:
            async with asyncio.timeout(self._bounds.first_frame_s):
                message = await receive()
        except TimeoutError:
            return "", BAD_TOKEN
        if message["type"] == "websocket.disconnect":
            return "", int(message["code"])
        text = message.get("text")
        if text is None:
            return "", NOT_TEXT
        try:
            entry = await speech.entry(text, scope)
            if isinstance(entry, Identified) and (wait_s := self._wait_s(entry)):
                while wait_s > 0 and wire.is_open:
                    await self._clock.sleep(min(wait_s, CHECK_S))
                    wait_s -= CHECK_S
                entry = await speech.entry(text, scope) if wire.is_open else BROKEN
        except ChatorchError as error:
            if frame := speech.turned_away(text, error):
                wire.put(frame)
            return text, close_code(error)
        return text, entry

    async def _entry(self, token: str) -> Identified | int:
        """Who comes in with it now; else why to close. Asked again of who had to wait: that may have been for long."""
        try:
            return await identified(self._identify, token)
        except ChatorchError as error:
            return close_code(error)

    def _wait_s(self, holder: Identified) -> float:
        """How long until this user's next turn."""
        return self._pace.wait_s(holder.principal.user_id)

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
