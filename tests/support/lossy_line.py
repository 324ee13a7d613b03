"""What lies between a client and a server: a TCP proxy on loopback that breaks off where a test says, and counts calls.

For HTTP/1.1 without pipelining. What is not cut goes through byte by byte, WebSockets too.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

RST = struct.pack("ii", 1, 0)
_REQUEST_LINE = re.compile(rb"([A-Z]+ \S+) HTTP/1\.1\r\n")


@dataclass
class Cut:
    """Once, in the answer to a call that begins so, and comes behind so many others (`behind`): a socket may go on from
    before. `after`: bytes of the answer, its head included; or what it says, which still goes through."""

    call: str
    after: int | bytes
    how: str
    behind: int

    def falls(self, before: bytes, data: bytes) -> int | None:
        """After how many bytes of `data`, where so much came `before`; None: not in these."""
        if isinstance(self.after, int):
            left = self.after - len(before)
            return left if left <= len(data) else None
        found = (before + data).find(self.after)
        return None if found < 0 else max(found + len(self.after) - len(before), 0)


class LossyLine:
    """`calls` are those that came, as ``POST /v1/responses``, whatever became of them; `last` is the latest answer, as
    it went over the wire. `down`: nobody gets through. `to` is the port behind it, for connections yet to come: as a
    balancer turns to another server.
    """

    def __init__(self, port: int) -> None:
        self.calls: list[str] = []
        self.last = b""
        self.down = False
        self.port = 0
        self.to = port
        self._cuts: list[Cut] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self, after: int | bytes, call: str = "", how: str = "fin") -> None:
        """Breaks off the next answer to such a call, with FIN or RST (`how`)."""
        self._cuts.append(Cut(call, after, how, len(self.calls)))

    def body_bytes(self) -> range:
        """Where the latest answer can be cut so that its head is whole and its end is not."""
        return range(self.last.index(b"\r\n\r\n") + 4, len(self.last))

    def header(self, name: str) -> str:
        """Of the latest answer."""
        found = re.search(rf"\r\n{name}: (\S+)\r\n".encode(), self.last)
        assert found, self.last[:1000]
        return found[1].decode()

    def event_bytes(self) -> range:
        """The same behind the first of its server-sent events."""
        return range(self.last.index(b"\n\n", self.body_bytes().start) + 2, len(self.last))

    def uncut(self) -> None:
        """Forgets the cuts that no answer came to."""
        self._cuts.clear()

    def cut_now(self, how: str = "fin") -> None:
        """Every connection."""
        for writer in list(self._open):
            _close(writer, how)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        serving = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self.cut_now()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.down:
                _close(writer, "rst")
                return
            with suppress(OSError):
                await _Connection(self, reader, writer).carry(self.to)
        finally:
            self._open.discard(writer)
            writer.close()

    def cut_of(self, call: str, number: int) -> Cut | None:
        return next((cut for cut in self._cuts if call.startswith(cut.call) and number > cut.behind), None)

    def is_cut(self, cut: Cut) -> None:
        self._cuts.remove(cut)


class _Connection:
    def __init__(self, line: LossyLine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._line, self._reader, self._writer = line, reader, writer
        self._call = ""
        self._number = 0
        self._answer = b""

    async def carry(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        there, back = asyncio.ensure_future(self._there(writer)), asyncio.ensure_future(self._back(reader))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _there(self, writer: asyncio.StreamWriter) -> None:
        rest = b""
        while data := await self._reader.read(65536):
            rest += data
            for found in _REQUEST_LINE.finditer(rest):
                self._call, self._answer = found[1].decode(), b""
                self._line.calls.append(self._call)
                self._number = len(self._line.calls)
                rest = rest[found.end() :]
            writer.write(data)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            cut = self._line.cut_of(self._call, self._number)
            falls = cut.falls(self._answer, data) if cut else None
            if cut and falls is not None:
                self._line.is_cut(cut)
                self._writer.write(data[:falls])
                await self._writer.drain()
                _close(self._writer, cut.how)
                return
            self._answer += data
            self._line.last = self._answer
            self._writer.write(data)
            await self._writer.drain()


def _close(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "rst":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        writer.transport.abort()
    else:
        writer.close()


@asynccontextmanager
async def lossy_line(port: int) -> AsyncIterator[LossyLine]:
    """Before this port of loopback, whether anybody listens there yet or not."""
    line = LossyLine(port)
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await asyncio.sleep(0)  # what was accepted just now
        await line.close()
