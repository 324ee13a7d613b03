"""Reading in pieces of 16 KiB. uvloop takes up to 256 KiB at once, and what came must be kept until it is wanted."""

import asyncio
from typing import Any

SIZE = 16 * 1024
BUFFER = "chatorch_buffer"


class Pieces(asyncio.BufferedProtocol):
    """Hands on to `protocol`. All connections of a server share one buffer, which is empty again when that returns."""

    __slots__ = ("_buffer", "_received", "connection_lost", "eof_received", "pause_writing", "resume_writing")

    def __init__(self, protocol: asyncio.Protocol, server_state: Any) -> None:
        buffer: memoryview | None = vars(server_state).get(BUFFER)
        if buffer is None:
            buffer = vars(server_state)[BUFFER] = memoryview(bytearray(SIZE))
        self._buffer = buffer
        self._received = protocol.data_received
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the port's own word
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received(bytes(self._buffer[:nbytes]))
