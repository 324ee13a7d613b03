"""What answers like a Redis in a state that is hard to bring about: every command with the same line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class FakeRedis:
    """`line` is without its end. An empty one is no answer at all."""

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readline():
                for _ in range(int(head[1:])):
                    size = await reader.readline()
                    await reader.readexactly(int(size[1:]) + 2)
                if self.line:
                    writer.write(self.line + b"\r\n")
        writer.close()


@asynccontextmanager
async def fake_redis(line: bytes) -> AsyncIterator[FakeRedis]:
    fake = FakeRedis(line)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
