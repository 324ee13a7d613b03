"""An MCP server over HTTP that answers calls with the bytes that a test wants, in the test's own process."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[Write, dict[str, Any]], Awaitable[None]]
"""Writes a whole HTTP response to a request for ``tools/call``; the connection is closed behind it."""


def head(status: str = "200 OK", **headers: str) -> bytes:
    given = {"content-type": "application/json", "connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return "".join(
        [f"HTTP/1.1 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in given.items()), "\r\n"]
    ).encode()


class HttpToy:
    def __init__(self) -> None:
        self.answer: Answer = say("hello")
        self.pages: list[dict[str, Any]] = [{"tools": [{"name": "toy", "inputSchema": {"type": "object"}}]}]
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.is_hung = False
        self.is_closed_to_us = False
        self.session = "first"
        self.port = 0
        self.scheme = "http"
        self._serving: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/mcp"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self._serving.add(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.headers = [*self.headers, *lines]
            size = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
            asked = json.loads(await reader.readexactly(size)) if size else {}
            self.asked.append(asked.get("method", lines[0].partition(" ")[0]))
            if self.is_closed_to_us:
                await write(head("401 Unauthorized", content_type="text/plain"))
            if self.is_hung:
                await asyncio.sleep(30)
            given = next((line[16:] for line in lines if line.lower().startswith("mcp-session-id: ")), self.session)
            await (self._answer(write, asked) if given == self.session else write(head("404 Not Found")))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self._serving.discard(asyncio.current_task())

    async def aclose(self) -> None:
        serving = [task for task in self._serving if task is not None]
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)

    async def _answer(self, write: Write, asked: dict[str, Any]) -> None:
        match asked.get("method"):
            case "initialize":
                info = {"name": "toy", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                await write(head(mcp_session_id=self.session) + reply(asked, result))
            case "tools/list":
                page = int((asked.get("params") or {}).get("cursor") or 0)
                await write(head() + reply(asked, self.pages[page % len(self.pages)]))
            case "tools/call":
                await self.answer(write, asked)
            case str() if "id" not in asked:
                await write(head("202 Accepted"))
            case _:
                await write(head("405 Method Not Allowed"))


def reply(asked: dict[str, Any], result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()


def refuse(code: int, message: str) -> Answer:
    async def answer(write: Write, asked: dict[str, Any]) -> None:
        error = {"code": code, "message": message}
        await write(head("400 No") + json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode())

    return answer


def say(text: str) -> Answer:
    async def answer(write: Write, asked: dict[str, Any]) -> None:
        await write(head() + reply(asked, {"content": [{"type": "text", "text": text}]}))

    return answer


def raw(*pieces: bytes, times: int = 1, pause: float = 0) -> Answer:
    """The pieces, the last one many times."""

    async def answer(write: Write, _asked: dict[str, Any]) -> None:
        for piece in pieces[:-1]:
            await write(piece)
        for _ in range(times):
            await write(pieces[-1])
            await asyncio.sleep(pause)

    return answer


@asynccontextmanager
async def http_toy(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpToy]:
    toy = HttpToy()
    toy.scheme = "http" if tls is None else "https"
    server = await asyncio.start_server(toy.serve, "127.0.0.1", 0, ssl=tls)
    toy.port = server.sockets[0].getsockname()[1]
    try:
        yield toy
    finally:
        server.close()
        await toy.aclose()
