"""A provider that is none of the project's: its own wire format, and a chat model that stands on the upstream room.

``POST /talk`` ``{"voice": model, "lines": [[role, text], …]}`` answers with events ``{"word": …}``, then
``{"over": reason}``. The voice ``refused`` is answered with 401, ``silent`` with nothing.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from chatorch.adapters.models.upstream.client import http_client_for, plain_address
from chatorch.adapters.models.upstream.deadlines import Deadlines, Watch
from chatorch.adapters.models.upstream.errors import LIBRARY_ERRORS, failure_of, failure_of_response
from chatorch.adapters.models.upstream.sse import PayloadParser
from chatorch.adapters.models.upstream.transport import source_of
from chatorch.domain.model.upstream_errors import SettingNames, UpstreamError, UpstreamInvalid
from chatorch.ports.chat_model import ChatModel, Finish, Prompt

SETTINGS = SettingNames(address="TOY_ADDRESS", key="TOY_KEY")
WORDS = ("Hello", ", ", "toy")


class ToyChatModel(ChatModel):
    def __init__(self, address: str, deadlines: Deadlines | None = None) -> None:
        self._url = f"{plain_address(address)}/talk"
        self._client = http_client_for(address)
        self._deadlines = deadlines or Deadlines()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish]:
        watch, failure = Watch(self._deadlines), None
        response: httpx2.Response | None = None
        try:
            response = await watch.wait(lambda: self._ask(prompt))
            async for said in _said_in(response, watch):
                yield said
        except (UpstreamError, *LIBRARY_ERRORS) as error:
            failure = failure_of(error)
        finally:
            watch.stop()
            if response is not None:
                await response.aclose()
        if failure is not None:
            raise failure.named(SETTINGS)

    async def _ask(self, prompt: Prompt) -> httpx2.Response:
        asked = {"voice": prompt.model, "lines": [[line.role.value, line.content] for line in prompt.messages]}
        response = await self._client.send(self._client.build_request("POST", self._url, json=asked), stream=True)
        if response.is_error:
            raise failure_of_response(response)
        return response

    async def aclose(self) -> None:
        await self._client.aclose()


async def _said_in(response: httpx2.Response, watch: Watch) -> AsyncGenerator[str | Finish]:
    source, parser = source_of(response), PayloadParser(events=True)
    while True:
        data = await watch.wait(source.read)
        for payload in map(json.loads, parser.feed(data) if data else parser.close()):
            watch.progress = True
            if "over" in payload:
                yield Finish(payload["over"], None)
                return
            yield payload["word"]
        if not data:
            raise UpstreamInvalid


@dataclass
class ToyProvider:
    address: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            asked = json.loads(await reader.readexactly(size))
            self.asked.append(asked)
            if asked["voice"] == "silent":
                await reader.read()
            status = b"401 No" if asked["voice"] == "refused" else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n" % status)
            for event in (*({"word": word} for word in WORDS), {"over": "stop"}):
                writer.write(b"event: toy\ndata: %b\n\n" % json.dumps(event).encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def toy_provider() -> AsyncIterator[ToyProvider]:
    toy = ToyProvider()
    server = await asyncio.start_server(toy.serve, "127.0.0.1", 0)
    toy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield toy
    finally:
        server.close()
        await asyncio.sleep(0)
