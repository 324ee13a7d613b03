"""A WebSocket on a socket of one's own, to send frames that no client library would."""

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

BOUND_S = 10.0

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """One frame (RFC 6455, 5.2); `reserved` are the three bits as they stand in the first byte."""
    first = (FIN if fin else 0) | reserved | opcode
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask_bit | len(payload))
    elif len(payload) < 2**16:
        head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def text(payload: str) -> bytes:
    return frame(TEXT, payload.encode())


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


@dataclass
class RawDevice:
    """What came is in `frames` as opcode and payload, and `closed_with` is the code of the server's close frame."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    head: str = ""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    closed_with: int | None = None

    @classmethod
    async def connect(
        cls, port: int, token: str, client_id: str = "raw", *, takes: int | None = None, **headers: str
    ) -> "RawDevice":
        """`takes`: so many bytes, and about as many again, until somebody reads."""
        plug = socket.socket()
        if takes is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
        plug.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=plug, limit=takes or 2**16)
        device = cls(reader, writer)
        lines = {
            "Host": f"127.0.0.1:{port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"GET /ws/chat/{client_id} HTTP/1.1\r\n{head}\r\n".encode())
        async with asyncio.timeout(BOUND_S):
            device.head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        device.status = int(device.head[9:12])
        return device

    @classmethod
    @asynccontextmanager
    async def connecting(cls, port: int, token: str, **arguments: Any) -> AsyncIterator["RawDevice"]:
        device = await cls.connect(port, token, **arguments)
        try:
            yield device
        finally:
            device.leave()

    @property
    def reset(self) -> bool:
        """Whether the server broke the connection; asked without reading."""
        plug = self.writer.get_extra_info("socket")
        return plug.fileno() < 0 or plug.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or is_reset(plug)

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def receive(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            [length] = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            [length] = struct.unpack("!Q", await self.reader.readexactly(8))
        payload = await self.reader.readexactly(length)
        assert first & FIN
        self.frames.append((first & 0x0F, payload))
        if first & 0x0F == CLOSE:
            self.closed_with = struct.unpack("!H", payload[:2])[0] if payload else 1005
        return self.frames[-1]

    async def ended(self, within: float = BOUND_S) -> int | None:
        """Reads until the server closes; returns its close code, None where it broke the connection without one.

        Answers the close frame, as it should, and leaves.
        """
        async with asyncio.timeout(within):
            try:
                while True:
                    opcode, payload = await self.receive()
                    if opcode == CLOSE:
                        self.send(frame(CLOSE, payload))
                        self.leave()
                        return self.closed_with
            except (asyncio.IncompleteReadError, ConnectionError):
                return self.closed_with

    def leave(self) -> None:
        self.writer.close()


def is_reset(plug: socket.socket) -> bool:
    """The first byte of tcp_info is the state of the connection (linux/tcp.h); 7 is TCP_CLOSE."""
    return plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7
