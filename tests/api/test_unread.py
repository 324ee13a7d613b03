"""Long answers as JSON that nobody reads: bounded, and whoever reads gets all."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx

from chatorch.entrypoints.common.unread import Unread
from tests.support.api import Api, ask
from tests.support.logged import logged
from tests.support.raw_http import Line, dialled, head
from tests.support.ws import served

LENGTH = 400_000
ANSWER = 2 * LENGTH
"""As text, and as parts."""
KERNEL_BYTES = 8192


async def test_of_one_users_unread_answers_the_oldest_ends_and_the_newest_come_whole(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    api.app.state.unread = Unread(most=100 * ANSWER, of_one=2 * ANSWER + 10_000)
    runs = {}
    for client in (alice, bob):
        api.model.then("x" * LENGTH)
        runs[client] = (await ask(client))["run_id"]
    async with (
        served(api, kernel_bytes=KERNEL_BYTES) as door,
        AsyncExitStack() as stack,
        asyncio.timeout(10),
    ):
        out = stack.enter_context(logged())

        async def asked(client: httpx.AsyncClient) -> Line:
            line = await stack.enter_async_context(dialled(door.port))
            line.writer.transport.pause_reading()
            request = head("GET", f"/api/runs/{runs[client]}", Authorization=client.headers["Authorization"])
            before = set(api.app.state.unread._lying)
            line.writer.write(request)
            while set(api.app.state.unread._lying) <= before:
                await asyncio.sleep(0)
            return line

        lines = [await asked(client) for client in (alice, bob, alice, alice)]
        for line in lines:
            line.writer.transport.resume_reading()
        whole = [await received(line) for line in lines]
    assert whole == [False, True, True, True]
    assert [line["level"] for line in out.named("response_cut_short")] == ["info"]


async def received(line: Line) -> bool:
    """Whether all came."""
    try:
        answer = await line.answer()
    except (EOFError, OSError):
        return False
    return len(json.loads(answer.body)["text"]) == LENGTH
