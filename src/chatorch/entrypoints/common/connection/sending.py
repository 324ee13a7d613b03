"""What is sent, and whether the client takes it in: uvicorn waits for that for ever."""

import asyncio
from abc import ABC
from typing import Any

from chatorch.entrypoints.common.connection.flow import StallWatch, reset
from chatorch.entrypoints.common.connection.of_uvicorn import ASGI3Application, RequestResponseCycle
from chatorch.entrypoints.common.connection.reading import Reading


class Sending(Reading, ABC):
    """`unread_s`: who takes in nothing of an answer for so long, or at most twice so long, is gone.

    `last_s`: what is still unsent then, where somebody else is to have the place.
    """

    __slots__ = ("_running", "_stall")

    unread_s = 60.0
    last_s = 0.5

    _running: RequestResponseCycle | None
    _stall: StallWatch

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._stall = StallWatch(self.loop, transport, self.unread_s, self._is_stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.end()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn tells only the newest of pipelined requests
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.watch()

    def handle_websocket_upgrade(self) -> None:
        self._stall.end()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._stall.watch()

    def break_off(self) -> None:
        """Closes, and soon, whether what was sent is taken in or not."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.last_s, self._reset)

    def _is_stalled(self) -> None:
        if self.flow.write_paused or self.cycle.response_complete or self.transport.is_closing():
            self._reset()
        else:  # a stream goes on: what was taken in may have been replaced
            self._stall.watch()

    def _reset(self) -> None:
        if self.transport.get_write_buffer_size():
            reset(self.transport)
