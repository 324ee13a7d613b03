"""WebSocket clients that cost next to nothing: frames by hand, masked with zeroes (RFC 6455, 5.3)."""

import asyncio
import json
import struct
import time
from collections.abc import Callable

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Socket(asyncio.Protocol):
    """`heard` is called with each text message, as bytes, and the time it came."""

    def __init__(self, request: bytes, heard: Callable[[bytes, float], None]) -> None:
        self._request = request
        self._heard = heard
        self._buffer = b""
        self._upgraded = False
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(self._request)

    def connection_lost(self, error) -> None:
        self.closed = True
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed during the handshake"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer + data
        if not self._upgraded:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._upgraded = True
            if not head.startswith(b"HTTP/1.1 101"):
                self.open.set_exception(ConnectionError(head[:100].decode()))
                return
            self.open.set_result(None)
        while (frame := _frame(buffer)) is not None:
            opcode, payload, size = frame
            buffer = buffer[size:]
            if opcode == TEXT:
                self._heard(payload, now)
            elif opcode == PING:
                self.send(payload, PONG)
        self._buffer = buffer

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        size = len(payload)
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size) if size < 126 else None
        head = head or struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        self.transport.write(head + b"\0\0\0\0" + payload)

    def say(self, **frame: object) -> None:
        self.send(json.dumps(frame).encode())


def _frame(buffer: bytes) -> tuple[int, bytes, int] | None:
    if len(buffer) < 2:
        return None
    size, start = buffer[1] & 0x7F, 2
    if size == 126:
        if len(buffer) < 4:
            return None
        size, start = struct.unpack_from("!H", buffer, 2)[0], 4
    elif size == 127:
        if len(buffer) < 10:
            return None
        size, start = struct.unpack_from("!Q", buffer, 2)[0], 10
    if len(buffer) < start + size:
        return None
    return buffer[0] & 0x0F, buffer[start : start + size], start + size


async def connect(port: int, path: str, heard: Callable[[bytes, float], None], token: str | None = None) -> Socket:
    headers = f"authorization: Bearer {token}\r\n" if token else ""
    request = HANDSHAKE.format(path=path, port=port, headers=headers).encode()
    _, socket = await asyncio.get_running_loop().create_connection(lambda: Socket(request, heard), "127.0.0.1", port)
    await socket.open
    return socket
