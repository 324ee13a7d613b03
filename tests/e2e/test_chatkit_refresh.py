"""One ChatKit secret, exchanged at two processes at the same time on one PostgreSQL: one new session, for all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.api import running_api
from tests.support.chatkit import SESSION, SETTINGS, opened, refreshed
from tests.support.chatkit_upstream import ChatKitUpstream, Plan, chatkit_upstream
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.workers import alike, workers

ROUNDS = size(4, 60)
MANY = 100_000


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[ChatKitUpstream]:
    async with chatkit_upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture
async def pages(
    upstream: ChatKitUpstream, postgres: Databases, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Alice at two processes; for the quick test at two applications in this one."""
    url = await postgres.fresh()
    async with AsyncExitStack() as stack:
        if size(1, 2) == 1:
            given = {"database_url": url, "openai_base_url": upstream.base_url, "chatkit_sessions_per_user": MANY}
            apis = [
                await stack.enter_async_context(running_api(swapped={"store_lock": None}, **given, **SETTINGS))
                for _ in range(2)
            ]
            first = await apis[0].user("alice")
            yield [first, await apis[1].sign_in("alice")]
            return
        redis: RedisServer = request.getfixturevalue("redis_server")
        (tmp_path / "one").mkdir()
        server = Server(
            tmp_path / "one",
            DATABASE_URL=url,
            REDIS_URL=redis.url,
            OPENAI_BASE_URL=upstream.base_url,
            OPENAI_API_KEY=SETTINGS["openai_api_key"],
            CHATORCH_CHATKIT_WORKFLOWS=SETTINGS["chatkit_workflows"],
            CHATORCH_CHATKIT_SESSIONS_PER_USER=str(MANY),
        )
        both = await stack.enter_async_context(workers([server, alike(server, tmp_path / "two")]))
        yield [await stack.enter_async_context(await worker.server.client()) for worker in both]


async def until_live(upstream: ChatKitUpstream, expected: int) -> None:
    async def so_many() -> bool:
        return len(upstream.live()) == expected

    await eventually(so_many)


@pytest.mark.soak
async def test_one_secret_at_two_processes_gives_one_new_session(
    pages: list[httpx.AsyncClient], upstream: ChatKitUpstream
):
    for number in range(1, ROUNDS + 1):
        old = await opened(pages[number % 2])
        tabs = [refreshed(pages[tab % 2], old["client_secret"]) for tab in range(6)]
        answers = [answer.json() for answer in await asyncio.gather(*tabs)]
        late = (await refreshed(pages[0], old["client_secret"])).json()
        assert [answer == late for answer in answers] == [True] * 6, answers
        assert len(upstream.sessions) == 2 * number
        await until_live(upstream, number)
    assert sorted(set(upstream.cancels)) == sorted(upstream.cancels), "each was cancelled once"
    assert (await pages[1].delete(SESSION)).status_code == 204
    await until_live(upstream, 0)


@pytest.mark.soak
async def test_where_the_answer_to_one_is_lost_all_get_the_same_in_the_end(
    pages: list[httpx.AsyncClient], upstream: ChatKitUpstream
):
    for _ in range(ROUNDS):
        old = await opened(pages[0])
        upstream.plans.append(Plan(0, "reset"))
        first = await asyncio.gather(*(refreshed(page, old["client_secret"]) for page in pages))
        assert {answer.status_code for answer in first} <= {200, 502, 503}
        again = [await refreshed(page, old["client_secret"]) for page in pages]
        told = {answer.json()["client_secret"] for answer in (*first, *again) if answer.status_code == 200}
        assert [answer.status_code for answer in again] == [200, 200]
        assert len(told) == 1
