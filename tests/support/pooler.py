"""A pooler of transactions, as PgBouncer is one: of each client, every transaction goes to the next server connection.

Of its kind the least friendly: it never gives a client the same server connection twice in a row, and says nothing of
what it does not let through. https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import struct
from collections import deque
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_SSL_REQUEST = 80877103
_CANCEL_REQUEST = 80877102
_ALLOWED = {"user", "database", "client_encoding", "application_name"}
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Stands before the server of a URL, which lets in without a password. `transactions` counts what it handed out."""

    def __init__(self, url: str, servers: int = 3) -> None:
        self._url = urlsplit(url)
        self._count = servers
        self._idle: deque[Streams] = deque()
        self._free = asyncio.Semaphore(servers)
        self._all: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server | None = None
        self._greeting = b""
        self.transactions = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        user, _, _ = self._url.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._url._replace(netloc=f"{user}@127.0.0.1:{port}"))

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            await self._connect()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()  # or one of them connects to the server again when nobody is left to close that
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in self._all:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _connect(self) -> None:
        reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        self._all.add(writer)
        names = f"user\0{self._url.username}\0database\0{self._url.path[1:]}\0\0".encode()
        writer.write(struct.pack("!ii", len(names) + 8, 196608) + names)
        greeting = b""
        while True:
            kind, message = await _message(reader)
            if kind == b"K":
                continue  # the key for cancelling is this connection's, and no client's
            if kind == b"Z":
                break
            greeting += message
        self._greeting = greeting
        self._idle.append((reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._all.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with suppress(asyncio.IncompleteReadError, OSError):
            if await self._greet(reader, writer):
                while True:
                    await self._transaction(reader, writer, await _message(reader))
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        size, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == _SSL_REQUEST:
            writer.write(b"N")
            size, code = struct.unpack("!ii", await reader.readexactly(8))
        words = (await reader.readexactly(size - 8)).split(b"\0")
        unknown = {name.decode() for name in words[:-2:2]} - _ALLOWED
        if code == _CANCEL_REQUEST or unknown:
            refusal = f"SFATAL\0C08P01\0Munsupported startup parameter: {', '.join(unknown)}\0\0".encode()
            writer.write(b"E" + struct.pack("!i", len(refusal) + 4) + refusal)
            return False
        key = struct.pack("!ciii", b"K", 12, 0x7FFFFFF1, 42)
        writer.write(self._greeting + key + b"Z" + struct.pack("!i", 5) + b"I")
        return True

    async def _transaction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: tuple[bytes, bytes]
    ) -> None:
        if first[0] == b"X":
            raise ConnectionResetError
        async with self._free:
            server_reader, server_writer = self._idle.popleft()
            self.transactions += 1
            server_writer.write(first[1])
            forwarding = asyncio.create_task(_forward(reader, server_writer))
            answering = asyncio.create_task(_until_idle(server_reader, writer))
            await asyncio.wait((forwarding, answering), return_when=asyncio.FIRST_COMPLETED)
            forwarding.cancel()
            await asyncio.wait((forwarding,))  # one reader at a time
            if answering.done() and answering.exception() is None:
                self._idle.append((server_reader, server_writer))
                return
            answering.cancel()
            server_writer.transport.abort()
            await self._connect()
            raise ConnectionResetError


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


async def _until_idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what the server says, until it says that no transaction is open."""
    while True:
        kind, message = await _message(reader)
        writer.write(message)
        if kind == b"Z" and message[5:6] == b"I":
            return
