"""Devices on WebSockets: a real client library against a real server, in this process or another."""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chatorch.entrypoints.common.connection import HTTP
from chatorch.entrypoints.process.server import PING_S, websocket_options
from chatorch.entrypoints.process.server_config import ServerConfig
from tests.support.api import Api
from tests.support.event_reader import Screen

BOUND_S = 5.0
SUBPROTOCOL = "chatorch.v1"

Frame = dict[str, Any]

NUMBERS = itertools.count(1)
"""An id is an idempotency key too, and those are the user's, whatever the device."""


class Device:
    """One connection. `frames` are all that it was sent so far, as far as somebody has waited for them."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[Frame] = []

    async def send(self, kind: str, **members: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **members}))

    async def receive(self, within: float = BOUND_S) -> Frame:
        async with asyncio.timeout(within):
            text = await self.connection.recv()
        assert isinstance(text, str)
        frame: Frame = json.loads(text)
        self.frames.append(frame)
        return frame

    async def until(self, holds: Callable[[Frame], object], within: float = BOUND_S) -> Frame:
        """The next frame of which this holds."""
        async with asyncio.timeout(within):
            while not holds(frame := await self.receive(within)):
                pass
        return frame

    async def until_type(self, *types: str, within: float = BOUND_S) -> Frame:
        return await self.until(lambda frame: frame["type"] in types, within)

    async def ask(self, kind: str, within: float = BOUND_S, **members: Any) -> Frame:
        """Sends a frame with an id; returns its answer."""
        members.setdefault("id", f"{kind}-{next(NUMBERS)}")
        await self.send(kind, **members)
        return await self.until(lambda frame: frame.get("id") == members["id"], within)

    async def run_ended(self, run_id: str, within: float = BOUND_S, screen: Screen | None = None) -> Screen:
        """What is shown of a run once it has ended; `screen` is what was shown before this connection."""
        ends = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")
        if not any(frame.get("run_id") == run_id and frame["type"] in ends for frame in self.frames):
            await self.until(lambda frame: frame.get("run_id") == run_id and frame["type"] in ends, within)
        return self.screen(run_id, screen)

    def events(self, run_id: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.get("run_id") == run_id and "seq" in frame]

    def screen(self, run_id: str, screen: Screen | None = None) -> Screen:
        screen = screen or Screen()
        screen.show(self.events(run_id))
        return screen

    async def nothing_more(self) -> None:
        """All that was on its way has come, and it was nothing."""
        before = len(self.frames)
        assert (await self.ask("ping", id="nothing-more"))["type"] == "pong"
        assert self.frames[before:-1] == []

    async def close_code(self, within: float = BOUND_S) -> int | None:
        """Reads on until the connection is closed; 1006 where that came without a word."""
        try:
            while True:
                await self.receive(within)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


class Door:
    """Where devices connect to. Those that are left open are closed with it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._stack = AsyncExitStack()

    async def connect(
        self,
        client_id: str = "phone",
        token: str | None = None,
        *,
        path: str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Device:
        """`token` goes into the Authorization header. `options` are those of `websockets`."""
        given = {"Authorization": f"Bearer {token}"} if token is not None else {}
        options = {
            "ping_interval": None,
            "max_size": None,
            "proxy": None,
            "compression": None,
            "close_timeout": 0.2,
            **options,
        }
        url = f"ws://127.0.0.1:{self.port}{path or f'/ws/chat/{client_id}'}{query}"
        connection = await connect(url, additional_headers=given | (headers or {}), **options)
        self._stack.push_async_callback(connection.close)
        return Device(connection)

    async def close(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def doors_of(port: int) -> AsyncIterator[Door]:
    door = Door(port)
    try:
        yield door
    finally:
        await door.close()


@asynccontextmanager
async def served(
    api: Api, *, ping_s: float = PING_S, kernel_bytes: int | None = None, **options: Any
) -> AsyncIterator[Door]:
    """The application on a real server on loopback, with the WebSockets of the real one.

    `kernel_bytes`: how much of what is sent the server's kernel may hold, where it must not be megabytes.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    if kernel_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
    config = ServerConfig(
        api.app,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        **({"http": HTTP} | websocket_options(ping_s=ping_s) | options),
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with doors_of(listener.getsockname()[1]) as door:
            yield door
    finally:
        server.should_exit = True
        await task
        listener.close()


def token_of(client: httpx.AsyncClient) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")
