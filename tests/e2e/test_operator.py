"""What an operator of the real process sees when something is wrong around it."""

import json

import pytest

from tests.e2e.conftest import NewServer
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.server import Server, serving
from tests.support.sockets import calling
from tests.support.upstream import Upstream, hang, text


@pytest.fixture
async def on_redis(new_server: NewServer, own_redis: RedisServer) -> Server:
    """Not started."""
    server = await new_server(lease_s=2)
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

        async def lines() -> list[dict[str, object]]:
            return [line for line in map(json.loads, server.log.splitlines()) if line["event"] == "runs_interrupted"]

        [line] = await eventually(lines, within=10)
        assert (line["count"], line["level"]) == (3, "info")
        assert "no sign of life" in str(line["reason"])
