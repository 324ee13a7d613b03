"""assistant-ui over the AI SDK's door: its runtime and its own transport, which sends more than the SDK's."""

import httpx
import pytest

from tests.clients.conftest import NewClient
from tests.support.client_process import ClientProcess
from tests.support.server import Server
from tests.support.upstream import ANSWER, Upstream, error, text


@pytest.fixture(scope="module")
def page(new_client: NewClient) -> ClientProcess:
    return new_client("assistant_ui.mjs")


async def test_a_conversation_and_an_answer_once_more(page: ClientProcess, server: Server, upstream: Upstream):
    given = {"url": server.url, "token": server.tokens["alice"], "model": upstream.model(ANSWER)}
    seen = await page.value("chat", **given, texts=["Hi", "And?"], again=True)
    assert [said["text"] for said in seen["said"]] == ["Hi", "Hello, world", "And?", "Hello, world"]
    assert seen["said"][-1]["status"]["type"] == "complete"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {given['token']}"}, base_url=server.url) as client:
        thread = (await client.get("/api/threads")).json()["data"][0]
        stored = (await client.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    assert thread["client_ref"]
    assert [message["content"] for message in stored] == ["Hi", "Hello, world", "And?", "Hello, world"]


async def test_a_provider_that_fails_is_shown_behind_what_was_said(
    page: ClientProcess, server: Server, upstream: Upstream
):
    given = {"url": server.url, "token": server.tokens["alice"], "model": upstream.model([text("one "), error()])}
    seen = await page.value("chat", **given, texts=["Hi"])
    assert [said["text"] for said in seen["said"]] == ["Hi", "one "]
    assert (seen["said"][-1]["status"]["type"], seen["said"][-1]["status"]["reason"]) == ("incomplete", "error")
