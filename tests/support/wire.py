"""A wire to a server on loopback that can be cut and mended: one process loses it while the others keep it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    """`delay_s`: how long each word takes, either way; more of them may be on their way."""

    def __init__(self, port: int, delay_s: float = 0.0) -> None:
        self._there = port
        self.delay_s = delay_s
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._swallowed: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """All connections break, and new ones too."""
        self._is_cut = True
        for writer in self._writers | self._swallowed:
            writer.transport.abort()
        self._swallowed.clear()

    def mend(self) -> None:
        self._is_cut = False

    def swallow(self) -> None:
        """Nothing that goes over the connections that there are arrives, nor that they end; new ones break."""
        self._is_cut = True
        self._swallowed |= self._writers

    def lead_to(self, port: int) -> None:
        """New connections go there; those that stand stay where they are."""
        self._there = port

    async def aclose(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._there)
        self._writers |= {writer, there}
        with suppress(OSError):
            await asyncio.gather(self._copy(reader, there), self._copy(there_reader, writer))
        self._writers -= {writer, there}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if writer in self._swallowed:
                    continue
                if self.delay_s:
                    asyncio.get_running_loop().call_later(self.delay_s, writer.write, data)
                    continue
                writer.write(data)
                await writer.drain()
        finally:
            if writer not in self._swallowed:
                writer.close()


@asynccontextmanager
async def wire_to(port: int, delay_s: float = 0.0) -> AsyncIterator[Wire]:
    wire = Wire(port, delay_s)
    await wire.start()
    try:
        yield wire
    finally:
        await wire.aclose()
