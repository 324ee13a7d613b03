"""The AI SDK's door over sockets: leaving, coming back, and going on."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.server import Server
from tests.support.ui_message import UiMessage
from tests.support.upstream import Upstream, done, finish, pause, text, usage

DOOR = "/api/ai-sdk"


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.tokens['alice']}"}
    async with httpx.AsyncClient(headers=headers, base_url=server.url, timeout=10) as client:
        yield client


def asked(chat: str, model: str, said: str = "Hi", **members: Any) -> dict[str, Any]:
    message = {"id": f"of {said}", "role": "user", "parts": [{"type": "text", "text": said}]}
    return {"id": chat, "message": message, "model": model, **members}


async def leave_after(client: httpx.AsyncClient, word: bytes, body: dict[str, Any]) -> bytes:
    """What was heard up to and with the word."""
    heard = b""
    async with client.stream("POST", DOOR, json=body) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_raw():
            heard += piece
            if word in heard:
                return heard
    raise AssertionError(heard)


async def texts(client: httpx.AsyncClient, chat: str) -> list[str]:
    messages = (await client.get(f"{DOOR}/{chat}/messages")).json()["data"]
    return ["".join(part.get("text", "") for part in message["parts"]) for message in messages]


async def test_who_left_comes_back_and_hears_the_same_from_its_start(client: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model([text("one ", "two "), pause("ai sdk"), text("three"), finish(), usage(), done()])
    before = await leave_after(client, b"two ", asked("ai-sdk-left", model))
    async with client.stream("GET", f"{DOOR}/ai-sdk-left/stream") as answer:
        upstream.release("ai sdk")
        again = await answer.aread()
    told, whole = UiMessage().take(before[: before.rindex(b"\n\n") + 2]), UiMessage().take(again)
    assert (told.id, told.metadata["run_id"]) == (whole.id, whole.metadata["run_id"])
    assert [part.get("text") for part in whole.parts] == [None, "one two three"]
    assert again.endswith(b"data: [DONE]\n\n")
    assert (await client.get(f"{DOOR}/ai-sdk-left/stream")).status_code == 204
    assert await texts(client, "ai-sdk-left") == ["Hi", "one two three"]


@pytest.mark.parametrize("how", [{}, {"trigger": "regenerate-message"}, {"messageId": "of Hi"}])
async def test_who_only_stopped_listening_goes_on_at_once(
    client: httpx.AsyncClient, upstream: Upstream, how: dict[str, str]
):
    chat = f"on {'-'.join(how)}"
    model = upstream.model([text("one "), pause(chat), text("two")])
    await leave_after(client, b"one ", asked(chat, model))
    said = "Hello" if how.get("messageId") else "Hi"
    answer = await client.post(
        DOOR, json=asked(chat, upstream.model([text("So."), finish(), usage(), done()]), said, **how)
    )
    assert (answer.status_code, UiMessage().take(answer.content).parts[1]["text"]) == (200, "So.")
    assert (await texts(client, chat))[-2:] == [said, "So."]
    assert len(await texts(client, chat)) == (2 if how else 4)
