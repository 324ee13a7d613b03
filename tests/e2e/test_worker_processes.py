"""`chatorch serve --workers N`: one service, whatever happens to one of its processes."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ServerIn
from tests.support.eventually import eventually
from tests.support.postgres import Databases, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.upstream import Upstream, done, finish, hang, text, tokens, usage
from tests.support.workers import workers

LIMIT_S = 1.0
TwoIn = Callable[..., Server]


@pytest.fixture
def two_in(server_in: ServerIn, tmp_path: Path, own_redis: RedisServer) -> TwoIn:
    """A server of two workers, not started."""

    def new(database_url: str | None = None, **settings: object) -> Server:
        server = server_in(tmp_path, database_url, **settings)
        server.settings["REDIS_URL"] = own_redis.url
        server.arguments = ("--workers", "2")
        return server

    return new


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """To be stopped by the test; it runs again afterwards whatever happened."""
    yield postgres_server
    postgres_server.ensure_running()


def pids(server: Server) -> list[int]:
    """Of all workers that ever served, in the order of their starts."""
    return [record["pid"] for record in server.records if record["event"] == "serving"]


async def served(server: Server, count: int, within: float = 15.0) -> list[int]:
    async def look() -> bool:
        return len(pids(server)) >= count

    await eventually(look, within=within)
    return pids(server)


async def test_without_redis_more_than_one_worker_is_refused(server_in: ServerIn, tmp_path: Path):
    refused = await asyncio.to_thread(server_in(tmp_path).command, "serve", "--workers", "2", "--port", "0")
    assert refused.returncode == 2
    assert "REDIS_URL" in refused.stderr


async def test_workers_of_one_server_answer_as_one(two_in: TwoIn, upstream: Upstream):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    server = two_in()
    async with workers([server]) as [both]:
        for _ in range(10):
            answer = await (await both.alice.say("Hi", model=model, stream=False)).ended()
            assert answer.status == 200

        async def all_counted() -> bool:
            figures = await (
                await both.alice.request("GET", "/metrics", headers={"accept": "application/json"})
            ).ended()
            prometheus = await both.alice.get("/metrics")
            return (
                figures.json["total_messages_processed"] == 10
                and b"chatorch_messages_processed_total 10.0" in prometheus.body
            )

        await eventually(all_counted)
        assert server.errors == []


async def test_workers_whose_parent_is_killed_drain_and_leave(two_in: TwoIn, upstream: Upstream):
    model = upstream.model(tokens(20, every=0.1), finish(), usage(), done())
    server = two_in()
    async with workers([server]) as [both]:
        asked = await both.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        await server.kill()
        await asked.ended()
        assert asked.terminals[0]["type"] == "run.completed"

        async def is_free() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionRefusedError:
                return True
            writer.close()
            return False

        await eventually(is_free)


async def test_one_that_dies_is_replaced(two_in: TwoIn, upstream: Upstream):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    async with workers([two_in()]) as [both]:
        [first, _] = await served(both.server, 2)
        os.kill(first, signal.SIGKILL)

        await served(both.server, 3)
        answer = await (await both.alice.say("Hi", model=model, stream=False)).ended()
        assert answer.status == 200
        assert [r["event"] for r in both.server.records if r["event"].startswith("worker_")] == ["worker_died"]


async def test_one_that_cannot_start_again_is_tried_until_it_can_and_the_other_goes_on(
    two_in: TwoIn, database: PostgresServer
):
    server = two_in(await Databases(database.url).fresh())
    async with workers([server]):
        [first, _] = await served(server, 2)
        database.crash()
        os.kill(first, signal.SIGKILL)

        async def tried_again() -> bool:
            return [r["event"] for r in server.records].count("worker_not_started") >= 2

        await eventually(tried_again, within=20)
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/health/live")).status_code == 200
        database.ensure_running()
        await served(server, 3, within=20)


async def test_sigterm_is_heard_at_once_and_obeyed_in_time_though_one_is_stopped(two_in: TwoIn, upstream: Upstream):
    model = upstream.model(text("begun"), hang())
    server = two_in(drain_limit_s=LIMIT_S)
    async with workers([server]) as [both]:
        stopped, _ = await served(server, 2)
        os.kill(stopped, signal.SIGSTOP)
        asked = await both.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/health/ready")).status_code == 200
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)

            async def not_ready() -> bool:
                return (await client.get("/health/ready")).status_code == 503

            await eventually(not_ready, within=0.5)
        assert await server.exited() == 0
        took = time.monotonic() - began
        await asked.ended()
        assert (asked.terminals[0]["type"], asked.terminals[0]["reason"]) == ("run.cancelled", "shutdown")
        assert LIMIT_S <= took < LIMIT_S + 2


async def test_an_interrupt_ends_what_is_live_and_all_workers_at_once(two_in: TwoIn, upstream: Upstream):
    model = upstream.model(text("begun"), hang())
    async with workers([two_in(drain_limit_s=30)]) as [both]:
        asked = await both.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        both.server.send_signal(signal.SIGINT)
        both.server.send_signal(signal.SIGINT)

        assert await both.server.exited(3.0) == 0
        await asked.ended()
        assert "Traceback" not in both.server.log


async def test_a_start_that_is_refused_is_told_once(two_in: TwoIn):
    server = two_in("postgresql://nobody@127.0.0.1:1/nothing")
    refused = await asyncio.to_thread(server.command, "serve", "--workers", "2", "--port", "0")

    assert refused.returncode == 3
    assert refused.stderr.count("The database does not answer.") == 1
    assert "Traceback" not in refused.stderr
