"""One connection of `WebSocketChatTransport`: several chats may share it, each request under an id of its own."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from chatorch.domain.model.errors import ChatorchError, InvalidField
from chatorch.domain.model.identity import Principal, UserId
from chatorch.domain.model.run import Run, RunEvent
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.ai_sdk.frames import (
    Abort,
    Refused,
    Resume,
    Send,
    Unanswerable,
    ended,
    failed,
    nothing_live,
    read_frame,
    started,
    token_of,
)
from chatorch.entrypoints.ai_sdk.numbered import NumberedChunks, spread
from chatorch.entrypoints.ai_sdk.turn_before import Before
from chatorch.entrypoints.ai_sdk.turns import Turns
from chatorch.entrypoints.common.websocket.closing import BAD_FRAME, FLOODING, TOO_MANY_DEVICES
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.frame_socket import FrameSocket
from chatorch.entrypoints.common.websocket.handshake import identified
from chatorch.entrypoints.common.websocket.seats import Seats
from chatorch.entrypoints.common.websocket.wire import Wire


@dataclass(frozen=True, slots=True)
class Services:
    """What all sockets have behind them."""

    identify: Identify
    runs: Runs
    turns: Turns
    seats: Seats
    frame_bytes: int


@dataclass(slots=True, eq=False)
class Request:
    """What is asked for under one id, and by whom. `given_up`: its client is told no more. `following` tells it."""

    frame: Send | Resume
    principal: Principal
    given_up: bool = False
    following: asyncio.Task[None] | None = None

    def give_up(self) -> None:
        self.given_up = True
        if self.following is not None:
            self.following.cancel()


class UiSocket(FrameSocket[Request]):
    """To give up a request is to leave its run, not to stop it: the client does so whenever a page changes its view."""

    def __init__(self, services: Services, wire: Wire, holder: Identified, limiter: FrameLimiter) -> None:
        super().__init__(wire, holder, limiter)
        self._services = services
        self._token: str | None = None
        self._seated: UserId | None = None
        self._requests: dict[str, Request] = {}

    # -- whose it is -----------------------------------------------------------------------------------------------

    @contextmanager
    def present(self, first: str | None) -> Iterator[None]:
        self._sit_down()
        try:
            if first is not None:
                self._token = token_of(read_frame(first))
                self.take(first)
            yield
        finally:
            if self._seated is not None:
                self._services.seats.leave(self._seated)

    def _sit_down(self) -> None:
        """Takes a seat of the user's, in place of the one that this connection had."""
        seats, user_id = self._services.seats, self.principal.user_id
        if self._seated is not None:
            seats.leave(self._seated)
        self._seated = user_id if seats.take(user_id) else None
        if self._seated is None:
            self.wire.hang_up(FLOODING, TOO_MANY_DEVICES)
        if not self.principal.guest:
            self.wire.takes(self._services.frame_bytes)

    async def _identify(self, request: Request) -> None:
        """By the request's own token: there may be a new one, or another user at the same page."""
        token = request.frame.token
        if token is not None and token != self._token:
            holder = await identified(self._services.identify, token)
            another = holder.principal.user_id != self.principal.user_id
            self.holder, self._token = holder, token
            request.principal = holder.principal
            if another:
                self._sit_down()
                self._give_up(lambda other: other.principal.user_id != holder.principal.user_id)
        else:
            request.principal = self.principal

    # -- frames ----------------------------------------------------------------------------------------------------

    def read(self, text: str) -> Request | None:
        try:
            frame = read_frame(text)
        except Unanswerable:
            self.wire.hang_up(BAD_FRAME)
        except Refused as refused:
            self.log_refused(refused.error)
            self.wire.put(failed(refused.request_id, refused.error))
        else:
            if not isinstance(frame, Abort):
                return self._begun(frame)
            if request := self._requests.pop(frame.request_id, None):
                request.give_up()
        return None

    def _begun(self, frame: Send | Resume) -> Request | None:
        request = Request(frame, self.principal)
        if frame.request_id in self._requests:
            self.refuse(request, InvalidField("requestId", "is that of a request that is being answered"))
            return None
        self._requests[frame.request_id] = request
        return request

    def kind(self, request: Request) -> str:
        return request.frame.type

    def tell_error(self, request: Request, error: ChatorchError | None) -> None:
        self._forget(request)
        if not request.given_up:
            self.wire.put(failed(request.frame.request_id, error))

    def over_limit(self) -> None:
        """A request that is not read cannot be answered."""
        self.wire.hang_up(FLOODING)

    def stop_following(self) -> None:
        self._give_up(lambda _: True)

    def _give_up(self, which: Callable[[Request], bool]) -> None:
        for request in [request for request in self._requests.values() if which(request)]:
            request.give_up()

    def _forget(self, request: Request) -> None:
        if self._requests.get(request.frame.request_id) is request:
            del self._requests[request.frame.request_id]

    # -- requests --------------------------------------------------------------------------------------------------

    async def carry_out(self, request: Request) -> None:
        frame = request.frame
        try:
            await self._identify(request)
            if not self.wire.is_open:
                return
            opened = await (self._send(request, frame) if isinstance(frame, Send) else self._resume(request, frame))
            if opened is not None:
                await self._follow(request, *opened)
            elif not request.given_up:
                self.wire.put(nothing_live(frame.request_id))
        finally:
            self._forget(request)

    async def _send(self, request: Request, frame: Send) -> tuple[Run, Before]:
        return await self._services.turns.open(request.principal, frame.chat().asked(), frame.key())

    async def _resume(self, request: Request, frame: Resume) -> tuple[Run, Before] | None:
        """None where nothing is live, as for every guest, who has nothing to come back to."""
        principal, services = request.principal, self._services
        live = None if principal.guest else await services.turns.to_resume(principal, frame.id)
        if live is None:
            return None
        run = await services.runs.read(principal, live.id)
        return run, await services.turns.before(principal, run, whole=True)

    async def _follow(self, request: Request, run: Run, before: Before) -> None:
        structlog.contextvars.bind_contextvars(run_id=run.id)
        if request.given_up or not self.wire.is_open:
            return
        request.following = asyncio.current_task()
        frame, put = request.frame, self.wire.put
        after = -1
        if isinstance(frame, Resume):
            put(started(frame.request_id))
            after = -1 if frame.last_sequence is None else frame.last_sequence
        chunks = NumberedChunks(frame.request_id, run.id, after, before)
        events = spread(self._services.runs.events(run))
        del run  # its text may be long, and all who follow it share one

        def tell(event: RunEvent) -> None:
            for told in chunks.frames(event):
                put(told)

        await self.tell(events, tell)
        put(ended(frame.request_id))
