"""A tool of an MCP server that needs approval: asked for in useChat, allowed over HTTP, seen in ChatKit."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.ai_sdk_page import HTTP_7, SETTLED, Browser, send
from tests.e2e.conftest import NewServer
from tests.support.client_process import ClientProcess
from tests.support.eventually import eventually
from tests.support.mcp_tools import HttpServer
from tests.support.server import Server, serving
from tests.support.upstream import Upstream, finish, hang, text, usage
from tests.support.upstream_parts import calls
from tests.support.widget import Answered, asked, create, watching
from tests.support.widget import send as send_to_widget

ASKS = [text("Shall I? "), *calls("proof__wipe", "{}"), finish("tool_calls"), usage()]
GOES_ON = [text("All is gone."), finish(), usage()]


@pytest.fixture
def mcp() -> Iterator[HttpServer]:
    """The official package's own, in another process: its `wipe` says that it is destructive."""
    server = HttpServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def alices(new_server: NewServer, mcp: HttpServer) -> Server:
    return with_mcp(await new_server(), mcp)


def with_mcp(server: Server, mcp: HttpServer) -> Server:
    server.settings |= {
        "CHATORCH_CHATKIT_SERVER": "true",
        "CHATORCH_MCP_SERVERS": "proof",
        "CHATORCH_MCP_PROOF_URL": mcp.url(),
    }
    return server


async def has_tool(alice: httpx.AsyncClient) -> bool:
    tools = (await alice.get("/api/tools")).json()["data"]
    return any(tool["name"] == "proof__wipe" and tool["needs_approval"] for tool in tools)


async def calls_of(alice: httpx.AsyncClient, thread_id: str) -> list[tuple[str, str]]:
    messages = (await alice.get(f"/api/threads/{thread_id}/messages")).json()["data"]
    parts = [part for message in messages for part in message["parts"] if part["type"] == "tool_call"]
    return [(part["id"], part["status"]) for part in parts]


def button_of(card: Any, label: str) -> dict[str, Any]:
    """What is sent where it is pressed."""
    [row] = [child for child in card.widget.children if child.type == "Row"]
    [pressed] = [button.onClickAction for button in row.children if button.label == label]
    return {"item_id": card.id, "action": {"type": pressed.type, "payload": pressed.payload}}


def call_in(seen: dict[str, Any]) -> dict[str, Any]:
    """What useChat's page holds of the call."""
    [call] = [part for message in seen["messages"] for part in message["parts"] if part["type"] == "dynamic-tool"]
    found: dict[str, Any] = call
    return found


async def widget(alice: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    thread = await asked(alice, "threads.get_by_id", thread_id=thread_id)
    items: list[dict[str, Any]] = thread["items"]["data"]
    return items


async def test_asked_in_use_chat_allowed_over_http_after_a_restart_seen_in_chatkit(
    alices: Server, pages: ClientProcess, upstream: Upstream
) -> None:
    async with serving(alices) as server, await server.client() as alice:
        await eventually(lambda: has_tool(alice), within=15)
        browser = Browser(pages, HTTP_7, server.url, server.tokens["alice"], upstream)
        browser._given["model"] = upstream.model(ASKS, GOES_ON)
        seen = await browser.see(send("Wipe it"), SETTLED)
        assert call_in(seen)["state"] == "approval-requested"
        [thread] = (await alice.get("/api/threads")).json()["data"]
        assert await calls_of(alice, thread["id"]) == [("call_1", "pending")]
        asking = await widget(alice, thread["id"])
        assert [item["type"] for item in asking] == ["user_message", "assistant_message", "widget"]
        assert "chatorch.tool.approve" in str(asking[2])

        await server.kill()
        await server.start()
        assert await widget(alice, thread["id"]) == asking
        await eventually(lambda: has_tool(alice), within=15)

        yes = {"decisions": [{"call_id": "call_1", "approve": True}]}
        bob = httpx.AsyncClient(base_url=server.url)
        async with bob:
            assert (await bob.post(f"/api/threads/{thread['id']}/tool-outputs", json=yes)).status_code == 401
        answer = await alice.post(f"/api/threads/{thread['id']}/tool-outputs", json=yes)
        assert (answer.status_code, answer.json()["response"]) == (200, "All is gone.")
        again = await alice.post(f"/api/threads/{thread['id']}/tool-outputs", json=yes)
        assert again.json()["run_id"] == answer.json()["run_id"]

        [_, said, call, well] = await widget(alice, thread["id"])
        assert (said["content"][0]["text"], well["content"][0]["text"]) == ("Shall I? ", "All is gone.")
        assert call["widget"]["status"]["text"] == "Approved, done"
        assert "gone" in str(call["widget"]["children"])
        assert "chatorch.tool" not in str(call), "there is nothing to press any more"
        back = call_in(await browser.see({"do": "load"}))
        assert (back["state"], back["output"]) == ("output-available", "gone")
        last = upstream.seen(browser._given["model"])[-1].body
        assert [message["role"] for message in last["messages"]] == ["user", "assistant", "tool"]


async def test_a_run_that_a_button_opened_is_carried_on_after_a_kill_and_shown_whole(
    new_server: NewServer, mcp: HttpServer, upstream: Upstream
) -> None:
    alices = with_mcp(await new_server(continue_within_s=300, lease_s=1, checkpoint_s=0.2), mcp)
    model = upstream.model(ASKS, [text("All ", "is "), hang()], GOES_ON)
    async with serving(alices) as server, await server.client() as alice:
        await eventually(lambda: has_tool(alice), within=15)
        answer = await create(alice, "Wipe it", inference_options={"model": model})
        [card] = [item for item in answer.items if item.type == "widget"]
        approve = button_of(card, "Approve")
        async with watching(alice, "threads.custom_action", thread_id=answer.thread_id, **approve) as tab:
            await tab.until("is ")
            await server.kill()
        await server.start()

        async def done() -> bool:
            messages = (await alice.get(f"/api/threads/{answer.thread_id}/messages")).json()["data"]
            return messages[-1]["status"] == "complete"

        await eventually(done, within=20)
        [_, said, call, well] = await widget(alice, answer.thread_id)
        assert (said["content"][0]["text"], well["content"][0]["text"]) == ("Shall I? ", "All is gone.")
        assert call["widget"]["status"]["text"] == "Approved, done"
        results = [m["content"] for seen in upstream.seen(model) for m in seen.body["messages"] if m["role"] == "tool"]
        assert results == ["gone", "gone"], "what came of it was kept, so it was called once"
        pressed = Answered(await send_to_widget(alice, "threads.custom_action", thread_id=answer.thread_id, **approve))
        assert (pressed.location, pressed.errors) == (None, [])
