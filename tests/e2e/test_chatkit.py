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
