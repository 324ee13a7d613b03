"""uvicorn's WebSocket with what ASGI has no words for: to send, and to hang up, without waiting for the client.

ASGI's own `send` waits for a client that does not read, so each connection would need a task that sends, and nobody
could hang up on a client before it reads on. The door asks for this class (`Door.websocket`), and an application finds
the connection in its scope by `wire_of`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from http import HTTPStatus
from typing import Any, Protocol, cast

from starlette.types import Scope
from websockets.exceptions import SecurityError
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from chatorch.entrypoints.common.connection.flow import reset
from chatorch.entrypoints.common.connection.of_uvicorn import ASGISendEvent
from chatorch.entrypoints.common.middleware.access_log import client_address
from chatorch.entrypoints.common.websocket.bounded import BoundedProtocol
from chatorch.entrypoints.common.websocket.closing import INVALID_TEXT, REASONS, RESTARTING, TOO_SLOW, UNANSWERED_PING
from chatorch.entrypoints.common.websocket.handshake import rejection

EXTENSION = "chatorch.wire"

MAX_QUEUED_BYTES = 1024 * 1024
UNREAD_S = 20.0
BATCH_BYTES = 64 * 1024
LAST_BYTES_S = 0.5
"""For what is still unsent where nobody seems to be there, or this process is about to end."""

_log = logging.getLogger("websockets.server")
"""Heard from WARNING on. uvicorn's own is heard from INFO on, and is told paths with their query strings."""


class Wire(Protocol):
    """One open connection. Nothing here raises; on one that is closed, or closing, all of it is a no-op."""

    @property
    def is_open(self) -> bool: ...

    def put(self, frame: bytes) -> None:
        """Sends a text frame (UTF-8), or queues it while the client does not read; hangs up where too much is queued.

        Frames arrive in the order in which they are put.
        """
        ...

    async def drained(self) -> None:
        """Waits until nothing is queued; hangs up where the client takes nothing in for `UNREAD_S`."""
        ...

    def hang_up(self, code: int, reason: str | None = None) -> None:
        """Forgets what is queued and closes, with this code, and this reason or the code's words in `REASONS`.

        A client that does not read is cut off after a while.
        """
        ...

    def limit(self, queued_bytes: int) -> None: ...

    def takes(self, frame_bytes: int) -> None:
        """From now on the client's messages may be as large as that."""
        ...

    def admitted(self) -> None:
        """It is known whose it is: from now on it keeps its place, however many others come."""
        ...


def wire_of(scope: Scope) -> Wire | None:
    """None under a server that was not told to use `WireProtocol`."""
    wire: Wire | None = scope.get("extensions", {}).get(EXTENSION)
    return wire


class WireProtocol(BoundedProtocol):
    """Where something is queued, the transport is full (`writable` is unset): so what finds it writable may go out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _log
        # Whatever is refused before the application is asked goes through it.
        self.conn.reject = self._rejection  # type: ignore[method-assign]
        self._queued: deque[bytes] | None = None
        self._queued_bytes = 0
        self._max_queued = MAX_QUEUED_BYTES
        self.left: Callable[[], None] | None = None
        self.known: Callable[[], None] | None = None

    # -- for the application ---------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.conn.state is OPEN and not self.disconnected

    def limit(self, queued_bytes: int) -> None:
        self._max_queued = queued_bytes

    def takes(self, frame_bytes: int) -> None:
        self.conn.max_message_size = frame_bytes

    def admitted(self) -> None:
        if self.known is not None:
            self.known()

    def put(self, frame: bytes) -> None:
        if not self.is_open:
            return
        if self.writable.is_set():
            self.conn.send_text(frame)
            self._flush()
            return
        self._queued_bytes += len(frame)
        if self._queued_bytes > self._max_queued:
            self.hang_up(TOO_SLOW)
        elif self._queued is None:
            self._queued = deque((frame,))
        else:
            self._queued.append(frame)

    async def drained(self) -> None:
        if self.writable.is_set():
            return
        try:
            async with asyncio.timeout(UNREAD_S):
                while not self.writable.is_set():
                    await self.writable.wait()
        except TimeoutError:
            self.hang_up(TOO_SLOW)

    def hang_up(self, code: int, reason: str | None = None) -> None:
        if not self.is_open:
            return
        if self._held:
            self.cut_off(code, reason)
            return
        self._say_goodbye(code, reason)
        self._read_on()
        # In this time the client may read what it was sent, and the code behind it; uvicorn would wait for ever.
        self.close_timer = self.loop.call_later(self.close_timeout, self._break)

    # -- for uvicorn -----------------------------------------------------------------------------------------------

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self
            self._pause()  # until the application asks for something: it may have to wait for the store first

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # it is over: else uvicorn logs, as an error, that it never was

    def data_received(self, data: bytes) -> None:
        if self._failed:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            # A head that the HTTP parser takes and this one does not, and uvicorn leaves lying: too long, mostly.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()) or self._refused_head())
            self.transport.close()

    def _refused_head(self) -> bytes:
        """websockets says why only from version 17 on."""
        too_large = isinstance(getattr(self.conn.handshake_exc, "__cause__", None), SecurityError)
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
        return self._rejection(status, "").serialize()

    def handle_parser_exception(self) -> None:
        """Says why, and reads on for a moment: closing on a client that still sends would reset the connection, and
        the code would be lost on the way."""
        self._failed = self.close_sent = True
        self._forget()
        code = self.conn.close_sent.code if self.conn.close_sent else INVALID_TEXT
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self._flush()
        self._read_on()
        self.close_timer = self.loop.call_later(LAST_BYTES_S, self.transport.close)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            # uvicorn logs it as a fault of ours, and fails where the client has closed meanwhile.
            self.frames = []
            if self.is_open:
                self.conn.send_close(INVALID_TEXT, REASONS[INVALID_TEXT])
                self.handle_parser_exception()
        elif self.conn.state is OPEN:
            super().send_receive_event_to_app()

    def resume_writing(self) -> None:
        super().resume_writing()
        while self._queued and self.writable.is_set() and self.is_open:
            size = 0
            while self._queued and size < BATCH_BYTES:
                frame = self._queued.popleft()
                size += len(frame)
                self.conn.send_text(frame)
            self._queued_bytes -= size
            self._flush()
        if not self._queued:
            self._forget()

    def keepalive_timeout(self) -> None:
        if self.is_open:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": UNANSWERED_PING, "reason": ""})
        super().keepalive_timeout()
        self._forget()
        self.loop.call_later(LAST_BYTES_S, self._break)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self.left is not None:
            self.left()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self.is_open:
            self._say_goodbye(RESTARTING)
        if self.handshake_complete:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()
        self.loop.call_later(LAST_BYTES_S, self._break)

    def _rejection(self, status: int, text: str) -> Response:  # noqa: ARG002  # called by name, as websockets has it
        """A problem, as everywhere, in place of plain text. A head that could not be read offered no request id."""
        request: Request | None = getattr(self, "request", None)
        # In a context of its own, because the callbacks of all connections share one.
        return copy_context().run(rejection, status, request, client_address({"client": self.client}))

    def _break(self) -> None:
        if not self.disconnected:
            reset(self.transport)

    def _say_goodbye(self, code: int, reason: str | None = None) -> None:
        self._forget()
        self.conn.send_close(code, REASONS.get(code, "") if reason is None else reason)
        self._flush()
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})

    def cut_off(self, code: int, reason: str | None = None) -> None:
        """Hangs up on a client that is not even listened to any more; what it sent is forgotten."""
        if self._failed:
            return
        self._failed = True
        self._held = self._pong = b""
        self.frames = []
        if self.is_open:
            self._say_goodbye(code, reason)
        self._read_on()
        self.close_timer = self.loop.call_later(LAST_BYTES_S, self._break)

    def _flush(self) -> None:
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _forget(self) -> None:
        self._queued = None
        self._queued_bytes = 0


def _is_utf8(pieces: list[bytes]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True
