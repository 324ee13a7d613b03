"""What is sent, and whether the client takes it in: uvicorn waits for that for ever."""

import asyncio
from abc import ABC

from chatorch.entrypoints.http.connection.flow import Unread, reset
from chatorch.entrypoints.http.connection.reading import Reading


class Sending(Reading, ABC):
    """`unread_s`: who takes in nothing of an answer for so long, or at most twice so long, is gone.

    `last_s`: what is still unsent then, where somebody else is to have the place.
    """

    __slots__ = ("_unread",)

    unread_s = 30.0
    last_s = 0.5

    _unread: Unread

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unread = Unread(self.loop, transport, self.unread_s, self._is_unread)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.watch()

    def handle_websocket_upgrade(self) -> None:
        self._unread.end()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unread.watch()

    def break_off(self) -> None:
        """Closes, and soon, whether what was sent is taken in or not."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.last_s, self._reset)

    def _is_unread(self) -> None:
        if self.flow.write_paused or self.cycle.response_complete or self.transport.is_closing():
            self._reset()
        else:  # a stream goes on: what was taken in may have been replaced
            self._unread.watch()

    def _reset(self) -> None:
        if self.transport.get_write_buffer_size():
            reset(self.transport)
