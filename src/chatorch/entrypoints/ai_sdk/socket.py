"""One connection of `WebSocketChatTransport`: several chats may share it, each request under an id of its own."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from chatorch.domain.model.conversation import RunId
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
from chatorch.entrypoints.ai_sdk.turns import Turns
from chatorch.entrypoints.common.websocket.closing import BAD_FRAME, FLOODING, TOO_MANY_DEVICES
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.frame_socket import FrameSocket
from chatorch.entrypoints.common.websocket.handshake import identified
from chatorch.entrypoints.common.websocket.seats import Seats
from chatorch.entrypoints.common.websocket.wire import Wire
from chatorch.ports.system import Clock

STOP_AFTER_S = 1.0
"""A client gives up a request where its user stops the answer, and also where it asks for it anew, or is about to
leave: so the answer is stopped if nobody on the connection follows it after this."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all sockets have behind them."""

    identify: Identify
    runs: Runs
    turns: Turns
    seats: Seats
    clock: Clock
    frame_bytes: int


class Request:
    """What is asked for under one id. `run` is what is followed for it, `given_up` once its client wants no more."""

    __slots__ = ("following", "given_up", "principal", "run_id")

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.run_id: RunId | None = None
        self.following: asyncio.Future[None] | None = None
        self.given_up = False


class UiSocket(FrameSocket[Send | Resume]):
    def __init__(self, services: Services, wire: Wire, holder: Identified, limiter: FrameLimiter) -> None:
        super().__init__(wire, holder, limiter)
        self._services = services
        self._token: str | None = None
        self._seated: UserId | None = None
        self._requests: dict[str, Request] = {}
        self._stopping: set[asyncio.Task[None]] = set()

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

    async def _asked_by(self, frame: Send | Resume) -> Principal:
        """Whom the request's own token speaks for: there may be a new one, or another user at the same page."""
        token = frame.token
        if token is not None and token != self._token:
            holder = await identified(self._services.identify, token)
            others = holder.principal.user_id != self.principal.user_id
            self.holder, self._token = holder, token
            if others:
                self._sit_down()
                self._leave(lambda request: request.principal.user_id != holder.principal.user_id)
        return self.principal

    # -- frames ----------------------------------------------------------------------------------------------------

    def read(self, text: str) -> Send | Resume | None:
        try:
            frame = read_frame(text)
        except Unanswerable:
            self.wire.hang_up(BAD_FRAME)
        except Refused as refused:
            self.log_refused(refused.error)
            self.wire.put(failed(refused.request_id, refused.error))
        else:
            if isinstance(frame, Abort):
                self._give_up(frame.request_id)
            elif frame.request_id in self._requests:
                self.refuse(frame, InvalidField("requestId", "is that of a request that is being answered"))
            else:
                self._requests[frame.request_id] = Request(self.principal)
                return frame
        return None

    def kind(self, frame: Send | Resume) -> str:
        return frame.type

    def tell_error(self, frame: Send | Resume, error: ChatorchError | None) -> None:
        self._requests.pop(frame.request_id, None)
        self.wire.put(failed(frame.request_id, error))

    def over_limit(self) -> None:
        """A request that is not read cannot be answered."""
        self.wire.hang_up(FLOODING)

    def stop_following(self) -> None:
        for task in self._stopping:
            task.cancel()
        self._leave(lambda _: True)

    # -- requests --------------------------------------------------------------------------------------------------

    async def carry_out(self, frame: Send | Resume) -> None:
        request = self._requests[frame.request_id]
        try:
            request.principal = await self._asked_by(frame)
            run = await (self._send(request, frame) if isinstance(frame, Send) else self._resume(request, frame))
            if run is None:
                self.wire.put(nothing_live(frame.request_id))
            else:
                after = frame.last_sequence if isinstance(frame, Resume) else None
                await self._follow(frame.request_id, request, run, -1 if after is None else after)
        finally:
            if self._requests.get(frame.request_id) is request:
                del self._requests[frame.request_id]

    async def _send(self, request: Request, frame: Send) -> Run:
        return await self._services.turns.open(request.principal, frame.chat().asked(), frame.key())

    async def _resume(self, request: Request, frame: Resume) -> Run | None:
        """None where nothing is live, as for every guest, who has one turn."""
        principal, services = request.principal, self._services
        live = None if principal.guest else await services.turns.to_resume(principal, frame.id)
        if live is None:
            return None
        run = await services.runs.read(principal, live.id)
        self.wire.put(started(frame.request_id))
        return run

    async def _follow(self, request_id: str, request: Request, run: Run, after: int) -> None:
        structlog.contextvars.bind_contextvars(run_id=run.id)
        request.run_id = run.id
        if request.given_up:
            self._stop_unless_followed(request)
        if request.given_up or not self.wire.is_open:
            return
        request.following = asyncio.current_task()
        chunks, put = NumberedChunks(request_id, run.id, after), self.wire.put
        events = spread(self._services.runs.events(run))
        del run  # its text may be long, and all who follow it share one

        def tell(event: RunEvent) -> None:
            for frame in chunks.frames(event):
                put(frame)

        await self.tell(events, tell)
        put(ended(request_id))

    def _leave(self, which: Callable[[Request], bool]) -> None:
        for request in self._requests.values():
            if request.following is not None and which(request):
                request.following.cancel()

    # -- giving up -------------------------------------------------------------------------------------------------

    def _give_up(self, request_id: str) -> None:
        request = self._requests.pop(request_id, None)
        if request is None:
            return
        request.given_up = True
        if request.following is not None:
            request.following.cancel()
            self._stop_unless_followed(request)

    def _stop_unless_followed(self, request: Request) -> None:
        task = self.begin(self._stop_later(request.principal, request.run_id))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_later(self, principal: Principal, run_id: RunId | None) -> None:
        await self._services.clock.sleep(STOP_AFTER_S)
        if run_id is None or any(request.run_id == run_id for request in self._requests.values()):
            return
        try:
            await self._services.runs.cancel(principal, run_id)
        except ChatorchError as error:
            self.log_refused(error, "abort")
