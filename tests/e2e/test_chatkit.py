"""Hosted ChatKit of real processes: what one of them does to a user, and what a killed one leaves."""

import asyncio
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import NewServer
from tests.support.chatkit import SETTINGS
from tests.support.chatkit_upstream import ChatKitUpstream, Plan, chatkit_upstream
from tests.support.eventually import eventually
from tests.support.server import BINARY, Server, serving

SESSION = "/api/chatkit/session"


@pytest.fixture
async def provider() -> AsyncIterator[ChatKitUpstream]:
    async with chatkit_upstream() as provider:
        yield provider


@pytest.fixture
async def server(new_server: NewServer, provider: ChatKitUpstream) -> AsyncIterator[Server]:
    server = await new_server(chatkit_workflows=SETTINGS["chatkit_workflows"])
    server.settings["OPENAI_BASE_URL"] = provider.base_url
    async with serving(server):
        yield server


def alice(server: Server) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.tokens['alice']}"}
    return httpx.AsyncClient(base_url=server.url, headers=headers, timeout=10)


def execute(folder: Path, statement: str) -> list[str]:
    connection = sqlite3.connect(folder / "chat.db", timeout=5, isolation_level=None)
    rows = connection.execute(statement).fetchall()
    connection.close()
    return [row[0] for row in rows]


def statuses(server: Server) -> list[str]:
    return execute(server.folder, "SELECT status FROM chatkit_sessions")


async def live(provider: ChatKitUpstream, count: int) -> bool:
    return len(provider.live()) == count


def thread_json(thread_id: str, owner: str) -> dict[str, object]:
    thread = {"id": thread_id, "object": "chatkit.thread", "created_at": 1, "title": "A thread", "user": owner}
    return {**thread, "status": {"type": "active"}}


async def test_a_session_of_the_hosted_widget(server: Server, provider: ChatKitUpstream) -> None:
    """What the page and the widget do, from opening to signing out."""
    async with alice(server) as client:
        first = (await client.post(SESSION, json={"workflow_id": "wf_two"})).json()
        assert first["refresh_at"] < first["expires_at"]
        second = await client.post("/api/chatkit/refresh", json={"client_secret": first["client_secret"]})
        assert second.status_code == 200
        assert second.json()["client_secret"] != first["client_secret"]
        await eventually(lambda: live(provider, 1))
        user = (await client.get("/api/me")).json()["user_id"]
        for number, owner in enumerate((user, "somebody else")):
            provider.threads[f"cthr_{number}"] = thread_json(f"cthr_{number}", owner)
        for thread_id, status in (("cthr_0", 200), ("cthr_1", 404)):
            assert (await client.get(f"/api/chatkit/threads/{thread_id}/items")).status_code == status
        assert (await client.delete("/api/chatkit/threads/cthr_0")).status_code == 204
        assert (await client.delete("/api/chatkit/threads/cthr_1")).status_code == 404
        assert list(provider.threads) == ["cthr_1"]
        one = await client.delete(f"{SESSION}/{second.json()['session_id']}")
        assert one.status_code == 204
        assert (await client.post(SESSION)).status_code == 200
        assert (await client.delete(SESSION)).status_code == 204
        late = await client.post("/api/chatkit/refresh", json={"client_secret": second.json()["client_secret"]})
        assert late.status_code == 410
    await eventually(lambda: live(provider, 0))


async def test_disabling_a_user_on_the_command_line_cancels_their_sessions_within_seconds(
    server: Server, provider: ChatKitUpstream
) -> None:
    async with alice(server) as client:
        for _ in range(3):
            assert (await client.post(SESSION)).status_code == 200
    assert len(provider.live()) == 3
    command = [BINARY, "users", "disable", "alice"]
    await asyncio.to_thread(
        subprocess.run, command, env=server.environment, cwd=server.folder, check=True, capture_output=True, timeout=30
    )

    async def none_lives() -> bool:
        return not provider.live() and statuses(server) == ["cancelled"] * 3

    await eventually(none_lives, within=5)
    assert len(provider.cancels) == 3


async def test_a_process_killed_between_the_provider_and_the_ledger_leaves_a_row_that_becomes_lost(
    server: Server, provider: ChatKitUpstream
) -> None:
    provider.plans.append(Plan(0, "hang"))
    async with alice(server) as client:
        asked = asyncio.ensure_future(client.post(SESSION))
        async with asyncio.timeout(10):
            await provider.hanging.wait()
        await server.kill()
        with pytest.raises(httpx.TransportError):
            await asked
    assert statuses(server) == ["opening"]
    await server.start()
    execute(server.folder, "UPDATE chatkit_sessions SET created_at = created_at - 60000000")

    async def lost() -> bool:
        return statuses(server) == ["lost"]

    await eventually(lost, within=5)
