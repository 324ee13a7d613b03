"""When a connection reads, and whether its client does."""

import asyncio
import socket
import struct
from collections.abc import Callable

from chatorch.entrypoints.common.connection.of_uvicorn import FlowControl
from chatorch.entrypoints.common.connection.signal import Signal

RESET = struct.pack("ii", 1, 0)


class Flow(FlowControl):
    """Stays paused while it is `blocked`, whoever would read on."""

    blocked = False

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_writable_event = Signal(given=True)

    def resume_reading(self) -> None:
        if not self.blocked:
            super().resume_reading()


class StallWatch:
    """Whether what was sent is taken in. `late` is called where two looks in a row find the same, and nothing new.

    Closing such a connection does not end it: the transport first waits until all is taken in. One timer serves as
    long as it runs, so that to be watched costs an answer next to nothing.
    """

    __slots__ = ("_every_s", "_late", "_left", "_loop", "_timer", "_transport")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, every_s: float, late: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._every_s = every_s
        self._late = late
        self._left: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Something was written; from now on some of all that waits must be taken in."""
        self._left = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._every_s, self._look)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        left = self._transport.get_write_buffer_size()
        if not left:
            return
        if self._left is not None and left >= self._left:
            self._late()
        else:
            self.watch()
            self._left = left


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection at once. Without, the kernel would keep what it holds for the client, for minutes."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
