"""One conversation over the doors of everybody: begun by one client, gone on with by another, seen by all others."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.clients.conftest import NewClient
from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.upstream import Upstream, done, finish, pause, text, usage

CHAT = "their own name: 1/é"
FIRST = ["How do tides work?", "By the moon."]


@pytest.fixture(scope="module")
def all_doors(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With ChatKit's too."""
    server = server_in(tmp_path_factory.mktemp("all-doors"))
    server.settings["CHATORCH_CHATKIT_SERVER"] = "true"
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


async def widget_items(alice: httpx.AsyncClient, thread_id: str) -> list[str]:
    """What ChatKit's widget shows of a thread."""
    asked = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}, "metadata": {}}
    thread = (await alice.post("/chatkit", content=json.dumps(asked))).raise_for_status().json()
    return [item["content"][0]["text"] for item in thread["items"]["data"]]


async def test_begun_in_use_chat_continued_by_responses_followed_by_ag_ui(
    all_doors: Server, upstream: Upstream, new_client: NewClient
) -> None:
    page, python, agent = (new_client(file) for file in ("ai_sdk.mjs", "openai_responses.py", "ag_ui.mjs"))
    who = {"url": all_doors.url, "token": all_doors.tokens["alice"]}
    model = upstream.model([text(FIRST[1]), finish(), usage(), done()])
    steps = [{"do": "send", "text": FIRST[0]}, {"do": "settled"}]
    seen = await page.value("chat", version=7, chat=CHAT, model=model, steps=steps, **who)
    assert (seen["status"], seen["messages"][-1]["role"]) == ("ready", "assistant")

    headers = {"Authorization": f"Bearer {who['token']}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=all_doors.url, headers=headers) as alice:
        [thread] = (await alice.get("/api/threads")).json()["data"]
        assert thread["client_ref"] == CHAT

        model = upstream.model([text("Twice a "), pause("go on"), text("day."), finish(), usage(), done()])
        conversation = "conv_" + thread["id"].removeprefix("thr_")
        members = {"conversation": conversation, "background": False}
        watching = python.begin("watch", model=model, input="How often?", members=members, **who)
        await watching.until("text")

        connected = agent.begin("connect", tab="one", thread=CHAT, **who)
        snapshot = await connected.until("snapshot")
        upstream.release("go on")
        response, shown = await watching.value(), await connected.value()

        whole = [*FIRST, "How often?", "Twice a day."]
        assert (response["status"], response["text"], response["conversation"]) == ("completed", whole[3], conversation)
        assert [message["content"] for message in shown["messages"]] == whole
        assert len(snapshot["messages"]) >= 3
        messages = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
        assert [message["content"] for message in messages] == whole
        assert await widget_items(alice, thread["id"]) == whole
        reloaded = await page.value("chat", version=7, chat=CHAT, steps=[{"do": "load"}], **who)
        told = ["".join(part.get("text", "") for part in message["parts"]) for message in reloaded["messages"]]
        assert told == whole
