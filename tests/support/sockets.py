"""HTTP on a socket of one's own, read byte by byte: to leave with FIN or RST after any of them, and to time events."""

import asyncio
import contextlib
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.support.event_reader import EventReader
from tests.support.server import Server

T = TypeVar("T")

BOUND_S = 10.0
RST = struct.pack("ii", 1, 0)


class Exchange(EventReader):
    """One request on one connection, and what has come back so far; a task reads all the while.

    `over`: nothing more will come, because the response is `complete`, the connection broke, or this side left, which
    it does by itself once it has read `cut_after` bytes, the status line's included, with FIN or RST (`how`).
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut_after: int | None, how: str
    ) -> None:
        super().__init__()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = False
        self.over = False
        self._reader, self._writer = reader, writer
        self._left = cut_after
        self._how = how
        self._raw = b""
        self._changed = asyncio.Event()
        self._task = asyncio.ensure_future(self._read())

    # -- what has come

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def run_id(self) -> str:
        return self.headers["content-location"].split("/")[3]

    # -- waiting and leaving

    async def until(self, holds: Callable[["Exchange"], object], within: float = BOUND_S) -> "Exchange":
        """Waits until it holds. Fails where it never will, or not within `within` seconds."""
        async with asyncio.timeout(within):
            while not holds(self):
                if self._task.done() and not self._task.cancelled():
                    self._task.result()
                assert not self.over, f"it ended with {self.status}, {self.body[-300:]!r}"
                self._changed.clear()
                await self._changed.wait()
        return self

    async def ended(self, within: float = BOUND_S) -> "Exchange":
        return await self.until(lambda exchange: exchange.over, within)

    async def leave(self, how: str = "fin") -> None:
        """Closes the connection, with FIN or with RST, whatever has been read."""
        self._left, self._how = 0, how
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _close(self, how: str) -> None:
        if how == "rst":
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            self._writer.transport.abort()
        else:
            self._writer.close()
        self.over = True
        self._changed.set()

    # -- reading

    async def _read(self) -> None:
        try:
            while not self.complete and self._left != 0:
                data = await self._reader.read(65536 if self._left is None else self._left)
                if not data:
                    break
                if self._left is not None:
                    self._left -= len(data)
                self._take(data)
                self._changed.set()
        except OSError:
            return
        finally:
            self._close(self._how if self._left == 0 else "fin")

    def _take(self, data: bytes) -> None:
        self._raw += data
        if not self.status:
            head, found, rest = self._raw.partition(b"\r\n\r\n")
            if not found:
                return
            self._take_head(head.decode("latin1"))
            self._raw = rest
        if self.headers.get("transfer-encoding") == "chunked":
            self._take_chunks()
        else:
            self._take_body(self._raw)
            self._raw = b""
            self.complete = len(self.body) >= int(self.headers.get("content-length", "0"))

    def _take_head(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.status = int(first.split(" ")[1])

    def _take_body(self, data: bytes) -> None:
        self.body += data
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            self.feed(data)

    def _take_chunks(self) -> None:
        while True:
            length, found, rest = self._raw.partition(b"\r\n")
            if not found or len(rest) < int(length, 16) + 2:
                return
            size = int(length, 16)
            self._take_body(rest[:size])
            self._raw = rest[size + 2 :]
            if not size:
                self.complete = True
                return


class Caller:
    """A signed-in user who opens a connection for every request. `within` which block it is made closes them all."""

    def __init__(self, port: int, authorization: str) -> None:
        self._port = port
        self._authorization = authorization
        self._exchanges: list[Exchange] = []

    async def request(
        self,
        method: str,
        path: str,
        json_body: object = None,
        *,
        headers: dict[str, str] | None = None,
        cut_after: int | None = None,
        how: str = "fin",
    ) -> Exchange:
        """Sends it and returns at once."""
        body = b"" if json_body is None else json.dumps(json_body).encode()
        lines = {"host": "chat", "authorization": self._authorization, "content-length": str(len(body))}
        lines |= {"content-type": "application/json"} | (headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        exchange = Exchange(reader, writer, cut_after, how)
        self._exchanges.append(exchange)
        return exchange

    async def get(self, path: str, within: float = BOUND_S) -> Exchange:
        return await (await self.request("GET", path)).ended(within)

    async def post(self, path: str, json_body: object = None, within: float = BOUND_S) -> Exchange:
        return await (await self.request("POST", path, json_body)).ended(within)

    async def say(
        self,
        text: str,
        *,
        key: str | None = None,
        cut_after: int | None = None,
        how: str = "fin",
        **members: object,
    ) -> Exchange:
        """Sends a message, and begins to read the answer's events, or its JSON with ``stream=False``."""
        body = {"messages": [{"role": "user", "content": text}], "stream": True, **members}
        headers = {"idempotency-key": key} if key else {}
        path = "/api/chat/protected"
        return await self.request("POST", path, body, headers=headers, cut_after=cut_after, how=how)

    async def follow(
        self, run_id: str, after: int | None = None, *, cut_after: int | None = None, how: str = "fin"
    ) -> Exchange:
        """Begins to read a run's events."""
        headers = {} if after is None else {"last-event-id": str(after)}
        path = f"/api/runs/{run_id}/events"
        return await self.request("GET", path, headers=headers, cut_after=cut_after, how=how)

    async def cancel(self, run_id: str) -> Exchange:
        return await self.post(f"/api/runs/{run_id}/cancel")

    async def run(self, run_id: str) -> dict[str, Any]:
        answer = await self.get(f"/api/runs/{run_id}")
        assert answer.status == 200, answer.body
        return answer.json

    async def messages(self, thread_id: str) -> list[dict[str, Any]]:
        answer = await self.get(f"/api/threads/{thread_id}/messages?limit=100")
        assert answer.status == 200, answer.body
        return answer.json["data"]

    async def close(self) -> None:
        for exchange in self._exchanges:
            if not exchange.over:
                await exchange.leave()
        self._exchanges.clear()


@asynccontextmanager
async def calling(server: Server, username: str = "alice") -> AsyncIterator[Caller]:
    """Somebody who is signed in to this server; whatever is left open is closed in the end."""
    caller = Caller(server.port, f"Bearer {server.tokens[username]}")
    try:
        yield caller
    finally:
        await caller.close()


async def all_ended(streams: Sequence[Exchange], within: float = BOUND_S) -> None:
    await asyncio.gather(*(stream.ended(within) for stream in streams))


async def begun(alice: Caller, model: str, count: int) -> list[Exchange]:
    """So many streams, each of which has come to its first text."""
    streams = [await alice.say("Hi", model=model) for _ in range(count)]
    await asyncio.gather(*(stream.until(lambda s: s.text) for stream in streams))
    return streams


def ends(streams: list[Exchange]) -> Counter[tuple[str, str | None]]:
    """How they ended; each must have come to a clean end of HTTP, with one terminal event."""
    assert all(stream.complete and len(stream.terminals) == 1 for stream in streams)
    return Counter((stream.terminals[0]["type"], stream.terminals[0].get("reason")) for stream in streams)


def batches(things: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """So many at once, so that load stays bounded at any size of a test."""
    for start in range(0, len(things), count):
        yield things[start : start + count]
