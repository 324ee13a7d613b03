"""Many that come at once: what goes on already is not held up until the last of them is served."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chatorch.entrypoints.common.fair_turns import AT_ONCE
from chatorch.entrypoints.common.websocket.wire import WireProtocol
from tests.support.plumbed_app import serving
from tests.support.raw_http import dialled, head

CLIENTS = 60
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Counting:
    """An application that answers nobody, and sees how many it was asked by in each turn of the loop."""

    def __init__(self) -> None:
        self.asked = 0
        self.most = 0
        self.all_asked = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.asked += 1
        if self.asked == CLIENTS:
            self.all_asked.set()
        await self.over.wait()
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    async def watch(self) -> None:
        while True:
            before = self.asked
            await asyncio.sleep(0)
            self.most = max(self.most, self.asked - before)


@pytest.mark.parametrize("what", [{}, HANDSHAKE], ids=["requests", "handshakes"])
async def test_of_those_that_come_at_once_a_few_begin_in_each_turn_of_the_loop(what: dict[str, str]) -> None:
    app = Counting()
    async with serving(app, ws=WireProtocol) as (_, port), AsyncExitStack() as stack, asyncio.timeout(10):
        lines = [await stack.enter_async_context(dialled(port)) for _ in range(CLIENTS)]
        watching = asyncio.ensure_future(app.watch())
        for line in lines:
            line.writer.write(head("GET", "/", **what))
        await app.all_asked.wait()
        watching.cancel()
        app.over.set()
    assert 0 < app.most <= AT_ONCE
