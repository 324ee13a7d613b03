"""What an operator of the real process sees when something is wrong around it."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import NewServer
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.server import Server, serving
from tests.support.sockets import Caller, calling
from tests.support.upstream import Upstream, done, finish, hang, text, usage
from tests.support.workers import alike


@pytest.fixture
async def on_redis(new_server: NewServer, own_redis: RedisServer) -> Server:
    """Not started."""
    server = await new_server(lease_s=2, continue_within_s=0)
    server.settings["REDIS_URL"] = own_redis.url
    return server


async def test_where_leases_decide_the_log_says_too_how_many_runs_were_interrupted(
    on_redis: Server, upstream: Upstream
):
    model = upstream.model(text("half "), hang())
    async with serving(on_redis) as server:
        async with calling(server) as alice:
            streams = [await alice.say("Hi", model=model) for _ in range(3)]
            for stream in streams:
                await stream.until(lambda s: s.text)
            await server.kill()
        await server.start()

        async def lines() -> list[dict]:
            return [line for line in server.records if line["event"] == "runs_interrupted"]

        [line] = await eventually(lines, within=10)
        assert (line["count"], line["level"]) == (3, "info")
        assert "no sign of life" in line["reason"]
        async with calling(server) as operator:

            async def are_counted() -> bool:
                counted = (await operator.get("/metrics")).body.decode()
                runs = 'chatorch_runs_total{code="",status="interrupted"} 3.0'
                return runs in counted and "chatorch_messages_processed_total 3.0" in counted

            await eventually(are_counted)


async def test_a_process_that_is_alone_says_once_how_many_runs_were_interrupted_and_counts_them(
    new_server: NewServer, upstream: Upstream
):
    model = upstream.model(text("half "), hang())
    async with serving(await new_server(continue_within_s=0)) as server:
        async with calling(server) as alice:
            await (await alice.say("Hi", model=model)).until(lambda s: s.text)
            await server.kill()
        await server.start()
        [line] = [record for record in server.records if record["event"] == "runs_interrupted"]
        assert (line["count"], line["reason"]) == (1, "the process that executed them is gone")
        async with calling(server) as operator:
            assert b'chatorch_runs_total{code="",status="interrupted"} 1.0' in (await operator.get("/metrics")).body


async def test_the_process_id_is_where_the_readme_says(on_redis: Server, server: Server):
    async with serving(on_redis):
        for one, in_file in ((on_redis, False), (server, True)):
            assert one.process is not None
            pid = one.process.pid
            assert [record["pid"] for record in one.records if record["event"] == "starting"][-1] == pid
            assert (one.folder / "chat.db.lock").read_text() == (str(pid) if in_file else "")


async def test_a_redis_that_is_away_shows_in_health_and_metrics_and_harms_neither(
    on_redis: Server, own_redis: RedisServer
):
    as_json = {"accept": "application/json"}
    async with serving(on_redis) as server, calling(server) as operator:

        async def shown() -> tuple[Any, ...]:
            health, ready, text = [await operator.get(path) for path in ("/health", "/health/ready", "/metrics")]
            figures = await (await operator.request("GET", "/metrics", headers=as_json)).ended()
            [gauge] = [line for line in text.body.decode().splitlines() if line.startswith("chatorch_redis_up ")]
            assert (health.status, ready.status, text.status, figures.status) == (200, 200, 200, 200)
            return health.json["redis"], figures.json["redis_up"], gauge.split()[1]

        for change, expected in ((own_redis.kill, ("down", 0, "0.0")), (own_redis.start, ("up", 1, "1.0"))):
            change()

            async def is_so(expected: tuple[Any, ...] = expected) -> bool:
                return await shown() == expected

            await eventually(is_so)


async def test_each_server_answers_for_itself_whoever_else_is_on_its_redis(
    on_redis: Server, upstream: Upstream, tmp_path: Path
):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    other = alike(on_redis, tmp_path / "other")
    other.tokens = on_redis.tokens

    async def figures(of: Caller) -> dict[str, float]:
        asked = await of.request("GET", "/metrics", headers={"accept": "application/json"})
        return (await asked.ended()).json

    async with serving(on_redis), calling(on_redis) as operator:
        pool = (await figures(operator))["db_pool_size"]
        async with serving(other):
            async with calling(other) as alice:
                for _ in range(3):
                    assert (await (await alice.say("Hi", model=model, stream=False)).ended()).status == 200

                async def all_are_counted() -> bool:
                    return (await figures(alice))["total_messages_processed"] == 3

                await eventually(all_are_counted)
                shown = await figures(operator)
                assert (shown["db_pool_size"], shown["total_messages_processed"]) == (pool, 0)
            other.send_signal(signal.SIGTERM)
            await other.exited()


async def test_without_redis_nobody_is_told_of_one(server: Server):
    async with calling(server) as operator:
        assert "redis" not in (await operator.get("/health")).json
        assert b"redis" not in (await operator.get("/metrics")).body
