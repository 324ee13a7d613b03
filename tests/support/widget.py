"""Speaking ChatKit's protocol as chatkit.js does: one POST for each request, events in the package's own types."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ErrorEvent,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from pydantic import TypeAdapter

import chatorch.entrypoints.chatkit  # noqa: F401  # the package, without its warnings

PATH = "/chatkit"
BOUND_S = 10.0
EVENTS: TypeAdapter[Any] = TypeAdapter(ThreadStreamEvent)


def said(text: str = "Hi", **members: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "quoted_text": None, "inference_options": {}, **members}


def request(kind: str, /, **params: Any) -> dict[str, Any]:
    return {"type": kind, "params": params, "metadata": {}}


def events_in(text: str) -> list[Any]:
    """Each as the package reads it; comments are left out."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks), text
    return [EVENTS.validate_json(block.removeprefix("data: ")) for block in blocks]


def shown_in(events: list[Any]) -> str:
    """What the widget shows of the answer while it comes."""
    text = ""
    for event in events:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta(delta=delta)):
                text += delta
            case ThreadItemReplacedEvent(item=AssistantMessageItem(content=[part])):
                text = part.text
    return text


class Answered:
    """A stream that has ended."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("text/event-stream")
        self.events = events_in(response.text)
        self.location = response.headers.get("Content-Location")

    @property
    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def run_id(self) -> str:
        return self.location.split("/")[3]

    @property
    def thread_id(self) -> str:
        return next(event.thread.id for event in self.events if isinstance(event, ThreadCreatedEvent))

    @property
    def shown(self) -> str:
        return shown_in(self.events)

    @property
    def items(self) -> list[Any]:
        return [event.item for event in self.events if isinstance(event, ThreadItemDoneEvent)]

    @property
    def errors(self) -> list[ErrorEvent]:
        return [event for event in self.events if isinstance(event, ErrorEvent)]


async def send(client: httpx.AsyncClient, kind: str, /, **params: Any) -> httpx.Response:
    return await client.post(PATH, json=request(kind, **params))


async def asked(client: httpx.AsyncClient, kind: str, /, **params: Any) -> Any:
    """The answer to a request that streams nothing."""
    response = await send(client, kind, **params)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(response.content)


async def create(client: httpx.AsyncClient, text: str = "Hi", **members: Any) -> Answered:
    return Answered(await send(client, "threads.create", input=said(text, **members)))


async def add(client: httpx.AsyncClient, thread_id: str, text: str = "And?", **members: Any) -> Answered:
    return Answered(await send(client, "threads.add_user_message", thread_id=thread_id, input=said(text, **members)))


class Watching:
    """A stream that is being read over a real connection."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.aiter_text()
        self._text = ""
        self.location = response.headers["Content-Location"]

    @property
    def run_id(self) -> str:
        return self.location.split("/")[3]

    @property
    def events(self) -> list[Any]:
        return events_in(self._text.rpartition("\n\n")[0])

    @property
    def thread_id(self) -> str:
        return next(event.thread.id for event in self.events if isinstance(event, ThreadCreatedEvent))

    async def until(self, text: str) -> None:
        """Reads on until so much was said of the answer."""
        async with asyncio.timeout(BOUND_S):
            while text not in shown_in(self.events):
                self._text += await anext(self._chunks)

    async def to_the_end(self) -> None:
        async with asyncio.timeout(BOUND_S):
            async for chunk in self._chunks:
                self._text += chunk


@asynccontextmanager
async def watching(client: httpx.AsyncClient, kind: str, /, **params: Any) -> AsyncIterator[Watching]:
    """Leaves at the end of the block, as a closed tab does."""
    async with client.stream("POST", PATH, json=request(kind, **params)) as response:
        assert response.status_code == 200, await response.aread()
        yield Watching(response)
