"""One connection of one device: what it asks for, what it follows, and what it is told."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.errors import ChatorchError, InvalidField, UserMismatch
from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceEvent
from chatorch.domain.model.run import Run
from chatorch.domain.services.commands import StartChat
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.domain.services.presence import Presence
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.event_encoder import EventFrames
from chatorch.entrypoints.common.failures import INTERNAL_DETAIL
from chatorch.entrypoints.common.websocket.closing import FLOODING, REPLACED, TOO_MANY_DEVICES
from chatorch.entrypoints.common.websocket.frame_limiter import FrameLimiter
from chatorch.entrypoints.common.websocket.frame_socket import FrameSocket
from chatorch.entrypoints.common.websocket.handshake import close_code, identified
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


class Socket(FrameSocket[ClientFrame], Mailbox):
    """One device of a user's."""

    def __init__(
        self, services: Services, wire: Wire, client_id: ClientId, holder: Identified, limiter: FrameLimiter
    ) -> None:
        super().__init__(wire, holder, limiter)
        self._services = services
        self._client_id = client_id
        self._presence = Gathered(self._tell_event)
        self._follows: dict[RunId, asyncio.Task[None]] = {}

    # -- being told ------------------------------------------------------------------------------------------------

    def deliver(self, event: PresenceEvent) -> None:
        if isinstance(event, PresenceChanged):
            self._presence.hear(event)
        else:
            self._tell_event(event)

    def _tell_event(self, event: PresenceEvent) -> None:
        self.wire.put(self._services.presence_events.frame(event))

    def replaced(self) -> None:
        self.wire.hang_up(REPLACED)

    def refused(self) -> None:
        self.wire.hang_up(FLOODING, TOO_MANY_DEVICES)

    # -- asking ----------------------------------------------------------------------------------------------------

    def present(self, first: str | None) -> AbstractContextManager[None]:
        if first is not None:
            self.wire.put(ack(read_frame(first).id))
        return self._services.presence.connected(self.principal, self._client_id, self)

    def read(self, text: str) -> ClientFrame | None:
        try:
            frame = read_frame(text)
        except FrameRefused as refused:
            self.log_refused(refused.error)
            self.wire.put(error_frame(refused.id, refused.error))
            return None
        if isinstance(frame, Ping):
            self.wire.put(pong(frame.id))
            return None
        return frame

    def kind(self, frame: ClientFrame) -> str:
        return frame.type

    def tell_error(self, frame: ClientFrame, error: ChatorchError | None) -> None:
        if error is None:
            self.wire.put(refused_frame(frame.id, ChatorchError.code, INTERNAL_DETAIL))
        else:
            self.wire.put(error_frame(frame.id, error))

    def over_limit(self) -> None:
        self.wire.put(refused_frame(None, "flooding", "Too many frames; this one is not carried out."))

    def stop_following(self) -> None:
        self._presence.close()
        for follow in self._follows.values():
            follow.cancel()

    async def carry_out(self, frame: ClientFrame) -> None:
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
                self.wire.put(ack(frame.id, run_id=RunId(frame.run_id)))
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
            self.wire.hang_up(code)
        else:
            self.holder = holder
            self.wire.put(ack(frame.id))

    async def _follow(self, frame_id: str, run: Run, after: int) -> None:
        """The newer of two follows of one run takes the place of the older, so nothing comes twice."""
        if not self.wire.is_open:
            return
        structlog.contextvars.bind_contextvars(run_id=run.id)
        this = asyncio.current_task()
        if older := self._follows.get(run.id):
            older.cancel()
        if this is not None:
            self._follows[run.id] = this
        self.wire.put(ack(frame_id, run))
        run_id, events = run.id, self._services.runs.events(run, after)
        del run  # its text may be long, and all who follow it share one
        try:
            put, encode = self.wire.put, self._services.events.shared(run_id, FrameEncoder(run_id)).encode
            await self.tell(events, lambda event: put(encode(event)))
        finally:
            if self._follows.get(run_id) is this:
                del self._follows[run_id]
