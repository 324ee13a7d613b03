"""Asking AG-UI's door, as its client asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.ag_ui import Client, Json
from tests.support.api import Api
from tests.support.eventually import eventually
from tests.support.fakes import Pause

DOOR = "/api/ag-ui"
PAGE = "0b8c8f0a-page"


def asked(*texts: str, run: str = "run-1", thread: str = PAGE, **members: Any) -> dict[str, Any]:
    """As `HttpAgent` sends it: always with empty lists and objects."""
    messages = [{"id": f"u-{text}", "role": "user", "content": text} for text in texts or ("Hi",)]
    usual = {"threadId": thread, "runId": run, "protocolVersion": "1.0", "messages": messages}
    return {**usual, "tools": [], "context": [], "forwardedProps": {}, "state": {}, **members}


async def run_agent(client: httpx.AsyncClient, *texts: str, **members: Any) -> Client:
    answer = await client.post(DOOR, json=asked(*texts, **members))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return Client().take(answer.content)


async def connect(client: httpx.AsyncClient, thread: str = PAGE, run: str = "connect-1") -> Client:
    async with asyncio.timeout(5):
        answer = await client.post(f"{DOOR}/connect", json=asked(thread=thread, run=run))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return Client().take(answer.content)


def refused_of(answer: httpx.Response, status: int, code: str) -> Json:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json"), answer.text
    body: Json = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


@asynccontextmanager
async def live(
    api: Api, client: httpx.AsyncClient, *steps: Any, **members: Any
) -> AsyncIterator[tuple[Pause, asyncio.Task[httpx.Response]]]:
    """An answer of which `steps` were said, and which ends once its pause goes on."""
    pause = Pause()
    api.model.then(*steps, pause, " and on")
    task = asyncio.ensure_future(client.post(DOOR, json=asked(**members)))
    try:
        await pause.reached()
        yield pause, task
    finally:
        pause.go_on()
        await asyncio.gather(task, return_exceptions=True)


async def stored(client: httpx.AsyncClient) -> tuple[Json, list[tuple[str, str]]]:
    [thread] = (await client.get("/api/threads")).json()["data"]
    messages = (await client.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    return thread, [(message["role"], message["content"]) for message in messages]


async def until_following(api: Api, count: int) -> None:
    """Until so many event streams are open."""
    client = api.anonymous(Accept="application/json")

    async def so_many() -> bool:
        return bool((await client.get("/metrics")).json()["active_connections"] >= count)

    await eventually(so_many)
