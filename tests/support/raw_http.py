"""HTTP/1 written by hand: heads that no client library sends, in pieces, and answers read as they are framed."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.fakes import settle

BOUND_S = 10.0
JSON = {"Content-Type": "application/json"}


def head(method: str, path: str, *lines: tuple[str, str], version: str = "1.1", **named: str) -> bytes:
    """`lines` come in their order, and may repeat a name; `named` are headers whose ``_`` stand for ``-``."""
    headers = [("Host", "chat"), *lines, *((name.replace("_", "-"), value) for name, value in named.items())]
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {path} HTTP/{version}\r\n{text}\r\n".encode("latin1")


def chunked(body: bytes, size: int = 7) -> bytes:
    """The body in chunks of `size` bytes."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """`framing` is ``length``, ``chunked`` or ``close``: what told the end of the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    framing: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The problem that this must be."""
        assert (self.status, self.headers.get("content-type")) == (status, "application/problem+json"), self
        assert (self.json["status"], self.json["code"]) == (status, code)
        assert self.json["request_id"] == self.headers["x-request-id"]
        return self.json


class Line:
    """One connection to a server in this event loop, or in another process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own, which a server in this event loop reads before the next one."""
        for piece in pieces:
            self.writer.write(piece)
            async with asyncio.timeout(BOUND_S):
                await self.writer.drain()
            await settle()

    async def answer(self, *, to: str = "GET") -> Answer:
        """The next answer, to a request of this method."""
        async with asyncio.timeout(BOUND_S):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")[:-2]
            if first.split(" ")[1] == "100":
                return await self.answer(to=to)
            headers: dict[str, str] = {}
            for name, _, value in (line.partition(": ") for line in lines):
                headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
            status = int(first.split(" ")[1])
            body, framing = await self._body(headers, status, to)
        return Answer(status, headers, body, framing)

    async def _body(self, headers: dict[str, str], status: int, method: str) -> tuple[bytes, str]:
        if method == "HEAD" or status in {204, 304}:
            return b"", "none"
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
            return body, "chunked"
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"])), "length"
        return await self.reader.read(), "close"

    async def ended(self) -> bool:
        """Whether the server closes with nothing more to say."""
        async with asyncio.timeout(BOUND_S):
            return await self.reader.read() == b""


@asynccontextmanager
async def dialled(port: int, of: str = "127.0.0.1") -> AsyncIterator[Line]:
    """`of`: the client's own address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(of, 0))
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def unread(port: int, asked: bytes) -> AsyncIterator[socket.socket]:
    """Somebody who has asked, and whose kernel takes in little."""
    loop = asyncio.get_running_loop()
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plug.setblocking(False)
        await loop.sock_connect(plug, ("127.0.0.1", port))
        asking = asyncio.ensure_future(loop.sock_sendall(plug, asked))
        try:
            yield plug
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
