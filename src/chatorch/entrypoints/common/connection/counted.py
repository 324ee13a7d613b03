"""A connection that knows whether there is room for it."""

import asyncio
from typing import Any

from chatorch.entrypoints.common.connection.caps import STATE_KEY, Caps, Guest, OpenConnections, full_house
from chatorch.entrypoints.common.connection.pieces import Pieces
from chatorch.entrypoints.common.connection.sending import Sending
from chatorch.entrypoints.common.refused import too_many_connections

HEALTH = b"/health"


class AdmittedConnection(Sending, Guest):
    """`full_s`: how long the head may take of a connection for which there is no room."""

    __slots__ = ("_connections", "_full", "_here", "_source")

    full_s = 2.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = OpenConnections.of(self.server_state, getattr(self.config, "caps", None) or Caps())
        self._here = False
        self._full = False
        self._source: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._source = self._connections.source(self.client[0] if self.client else None)
        file = transport.get_extra_info("socket").fileno()
        reason = self._connections.enter(self, self._source, file)
        self._here = True
        if reason is None:
            return
        self._connections.refused(reason)
        if count := self.app_state.get(STATE_KEY):
            count(reason)
        if self._connections.take_reserve(self, reason):
            self._full = True
            self._patience.wait(self.full_s, transport.close)
        else:
            transport.write(full_house())
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        super().connection_lost(exc)

    def leave(self) -> None:
        """Also called for the WebSocket that this has become, when that ends."""
        if self._here:
            self._here = False
            self._connections.leave(self, self._source)

    def make_room(self) -> None:
        self.break_off()

    def handle_websocket_upgrade(self) -> None:
        self.wait()  # until it is known who that is
        super().handle_websocket_upgrade()
        socket: Any = self.transport.get_protocol()
        socket.left, socket.known = self.leave, self.stay
        self.transport.set_protocol(Pieces(socket, self.server_state))

    def wait(self) -> None:
        """It is the client that is waited for: where it is full, others are let in in its place."""
        if self._here and not self._full and not self.transport.is_closing():
            self._connections.wait(self, self._source)

    def body_awaited(self) -> None:
        if not self.pipeline:  # else a request before it is under way
            self.wait()

    def stay(self) -> None:
        """Nobody else is let in in its place."""
        self._connections.busy(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.cycle.response_complete:
            self.stay()

    def require_room(self) -> None:
        """For a request on a connection too many whose head is complete. Raises `RequestRefused`."""
        if not self.url.startswith(HEALTH):
            raise too_many_connections()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._here or self._full or self.pipeline:
            return
        if self.cycle.response_complete:
            self._connections.idle(self, self._source)
        elif self.cycle.more_body:
            self.wait()
