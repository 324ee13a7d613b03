"""One connection of one device: what it asks for, what it follows, and what it is told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from starlette.types import Receive

from chatorch.domain.model.content import PIECE_CHARS, PartDelta
from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.errors import ChatorchError, InvalidField, Overloaded, UserMismatch
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.policy import require_scope
from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceEvent
from chatorch.domain.model.run import Run, RunEvent, Silence
from chatorch.domain.services.commands import StartChat
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.domain.services.presence import Presence
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.event_encoder import EventEncoder, EventFrames
from chatorch.entrypoints.common.failures import INTERNAL_DETAIL, for_operators
from chatorch.entrypoints.common.setting_names import detail_of
from chatorch.entrypoints.common.websocket.closing import FLOODING, NO_CODE, NOT_TEXT, REPLACED, TOO_MANY_DEVICES
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.handshake import close_code
from chatorch.entrypoints.common.websocket.wire import Wire
from chatorch.entrypoints.ws.frames import (
    Auth,
    ChatSend,
    ClientFrame,
    FrameEncoder,
    FrameRefused,
    Ping,
    RunCancel,
    RunFollow,
    ack,
    error_frame,
    pong,
    presence_event_frame,
    read_frame,
    refused_frame,
)
from chatorch.entrypoints.ws.presence import Gathered
from chatorch.ports.connections import Mailbox

MAX_AT_ONCE = 256
"""Runs that one connection follows, with requests that it waits for."""

log = structlog.get_logger(__name__)


class PresenceEventFrames:
    """The latest presence event as a frame: however many it goes to, it is encoded once."""

    def __init__(self) -> None:
        self._latest: tuple[PresenceEvent, bytes] | None = None

    def frame(self, event: PresenceEvent) -> bytes:
        if self._latest is None or self._latest[0] is not event:
            self._latest = (event, presence_event_frame(event))
        return self._latest[1]


@dataclass(frozen=True, slots=True)
class Services:
    """What all sockets have behind them."""

    identify: Identify
    runs: Runs
    presence: Presence
    events: EventFrames
    presence_events: PresenceEventFrames


async def identified(identify: Identify, token: str) -> Identified:
    """Raises `InvalidToken`, `InsufficientScope`, `StoreUnavailable`."""
    holder = await identify.holder(token)
    require_scope(holder.principal, Scope.CHAT)
    return holder


class Socket(Mailbox):
    """Leaving it is leaving its runs, not stopping them."""

    def __init__(
        self, services: Services, wire: Wire, client_id: ClientId, holder: Identified, limiter: FrameLimiter
    ) -> None:
        self.holder = holder
        self._services = services
        self._wire = wire
        self._client_id = client_id
        self._limiter = limiter
        self._presence = Gathered(self._tell_event)
        self._tasks: set[asyncio.Task[None]] = set()
        self._follows: dict[RunId, asyncio.Task[None]] = {}

    @property
    def principal(self) -> Principal:
        return self.holder.principal

    def hang_up(self, code: int) -> None:
        self._wire.hang_up(code)

    # -- being told ------------------------------------------------------------------------------------------------

    def deliver(self, event: PresenceEvent) -> None:
        if isinstance(event, PresenceChanged):
            self._presence.hear(event)
        else:
            self._tell_event(event)

    def _tell_event(self, event: PresenceEvent) -> None:
        self._wire.put(self._services.presence_events.frame(event))

    def replaced(self) -> None:
        self._wire.hang_up(REPLACED)

    def refused(self) -> None:
        self._wire.hang_up(FLOODING, TOO_MANY_DEVICES)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def listen(self, receive: Receive) -> int:
        """Until the connection ends, and what it asked for is carried out; returns its close code."""
        try:
            with self._services.presence.connected(self.principal, self._client_id, self):
                while True:
                    message = await receive()
                    if message["type"] == "websocket.disconnect":
                        return int(message.get("code") or NO_CODE)
                    self._take(message.get("text"))
        finally:
            self._presence.close()
            for follow in self._follows.values():
                follow.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def _take(self, text: str | None) -> None:
        """Never waits: while it does, no ping of the server's is answered."""
        if not self._wire.is_open:
            return
        if text is None:
            self._wire.hang_up(NOT_TEXT)
            return
        self._limiter.count()
        if self._limiter.hopeless:
            self._wire.hang_up(FLOODING)
            return
        if self._limiter.over:
            self._wire.put(refused_frame(None, "flooding", "Too many frames; this one is not carried out."))
            return
        try:
            frame = read_frame(text)
        except FrameRefused as refused:
            self._refuse(refused.id, refused.error)
            return
        if isinstance(frame, Ping):
            self._wire.put(pong(frame.id))
        elif len(self._tasks) >= MAX_AT_ONCE:
            self._refuse(frame.id, Overloaded(), frame.type)
        else:
            task = asyncio.ensure_future(self._answer(frame))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, frame: ClientFrame) -> None:
        try:
            await self._carry_out(frame)
        except ChatorchError as error:
            self._refuse(frame.id, error, frame.type)
        except Exception:
            log.exception("frame_failed")
            self._wire.put(refused_frame(frame.id, ChatorchError.code, INTERNAL_DETAIL))

    def _refuse(self, frame_id: str | None, error: ChatorchError, kind: str | None = None) -> None:
        """Says why, and so in the log, as of a request: the connection's own line comes when it ends."""
        told = {"frame": kind, "code": error.code, "detail": detail_of(error), **for_operators(error)}
        log.info("frame_refused", user_id=self.principal.user_id, **{k: v for k, v in told.items() if v is not None})
        self._wire.put(error_frame(frame_id, error))

    async def _carry_out(self, frame: ClientFrame) -> None:
        match frame:
            case ChatSend():
                chat = StartChat(
                    messages=frame.new_messages(),
                    thread_id=ThreadId(frame.thread_id) if frame.thread_id is not None else None,
                    model=frame.model,
                    idempotency_key=frame.id,
                    client_id=self._client_id,
                )
                try:
                    run = await self._services.runs.start(self.principal, chat)
                except InvalidField as error:
                    raise InvalidField(frame.field(error.field), error.problem) from None
                await self._follow(frame.id, run, 0)
            case RunFollow():
                run_id = RunId(frame.run_id)
                await self._follow(frame.id, await self._services.runs.read(self.principal, run_id), frame.after)
            case RunCancel():
                await self._services.runs.cancel(self.principal, RunId(frame.run_id))
                self._wire.put(ack(frame.id, run_id=RunId(frame.run_id)))
            case Auth():
                await self._extend(frame)

    async def _extend(self, frame: Auth) -> None:
        """Another token of the same user's. Where nobody can tell whether it is good, the one before still counts."""
        try:
            holder = await identified(self._services.identify, frame.token)
            if holder.principal.user_id != self.principal.user_id:
                raise UserMismatch
        except ChatorchError as error:
            code = close_code(error)
            if code < 4000:
                raise
            self._wire.hang_up(code)
        else:
            self.holder = holder
            self._wire.put(ack(frame.id))

    async def _follow(self, frame_id: str, run: Run, after: int) -> None:
        """The newer of two follows of one run takes the place of the older, so nothing comes twice."""
        if not self._wire.is_open:
            return
        structlog.contextvars.bind_contextvars(run_id=run.id)
        this = asyncio.current_task()
        if older := self._follows.get(run.id):
            older.cancel()
        if this is not None:
            self._follows[run.id] = this
        self._wire.put(ack(frame_id, run))
        run_id, events = run.id, self._services.runs.events(run, after)
        del run  # its text may be long, and all who follow it share one
        try:
            await self._tell(events, self._services.events.shared(run_id, FrameEncoder(run_id)))
        finally:
            if self._follows.get(run_id) is this:
                del self._follows[run_id]

    async def _tell(self, told: AsyncGenerator[RunEvent | Silence], encoder: EventEncoder) -> None:
        put, encode = self._wire.put, encoder.encode
        async with aclosing(told) as events:
            async for event in events:
                if isinstance(event, Silence):
                    continue
                if type(event) is not PartDelta or len(event.text) == PIECE_CHARS:
                    await self._wire.drained()  # more may follow at once
                put(encode(event))
