"""uvicorn's WebSocket, bounded in what its client may send: no more is parsed than is wanted, and no more answered than
is read. What is over the bounds is cut off."""

from abc import ABC, abstractmethod
from typing import Any

from websockets.frames import Frame

from chatorch.entrypoints.common.connection.of_uvicorn import ASGIReceiveEvent, WebSocketsSansIOProtocol
from chatorch.entrypoints.common.websocket.closing import FLOODING, TOO_SLOW
from chatorch.entrypoints.common.websocket.intake import Intake

SLICE_BYTES = 4096
"""How much is parsed at once: in it may be hundreds of frames."""


class BoundedProtocol(WebSocketsSansIOProtocol, ABC):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held = b""
        self._pong = b""
        self._intake = Intake(self.loop.time)
        self._failed = False

    @abstractmethod
    def cut_off(self, code: int) -> None:
        """Hangs up on a client that is not even listened to any more; sets `_failed`."""
        ...

    def data_received(self, data: bytes) -> None:
        if self._held:
            self._held += data
        else:
            self._read(data)

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if self._held and not self.read_paused:
            held, self._held = self._held, b""
            self._read(held)
        return message

    def _read(self, data: bytes) -> None:
        """Until a message is there that the application must take first."""
        if len(data) <= SLICE_BYTES:
            super().data_received(data)
            return
        for start in range(0, len(data), SLICE_BYTES):
            if self.read_paused:
                self._held = data[start:]
                return
            super().data_received(data[start : start + SLICE_BYTES])
            if self._failed:
                return

    def handle_ping(self) -> None:
        """Answers it. Of those that come while the client does not read, only the latest (RFC 6455, 5.5.3)."""
        pongs = self.conn.data_to_send()
        if self._failed:
            return
        if not self._intake.frame():
            self.cut_off(FLOODING)
        elif self.writable.is_set():
            self._intake.reads()
            self.transport.write(b"".join(pongs))
        elif not self._intake.unread_pong():
            self.cut_off(TOO_SLOW)
        elif pongs:
            self._pong = pongs[-1]

    def handle_pong(self, event: Frame) -> None:
        if self._intake.frame():
            super().handle_pong(event)
        else:
            self.cut_off(FLOODING)

    def handle_cont(self, event: Frame) -> None:
        if self._intake.fragment(last=event.fin):
            super().handle_cont(event)
        else:
            self.cut_off(FLOODING)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pong:
            pong, self._pong = self._pong, b""
            self.transport.write(pong)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = self._pong = b""
        super().connection_lost(exc)

    def _pause(self) -> None:
        self.read_paused = True
        self.transport.pause_reading()

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
