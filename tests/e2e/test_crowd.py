"""One user with thousands of devices that come and go, and what others notice of it."""

import asyncio
import json
import sys
import time
from itertools import pairwise

import pytest

from tests.e2e.conftest import NewServer, Record
from tests.support.accounts import sign_up
from tests.support.server import serving
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, calling
from tests.support.upstream import Upstream, done, finish, text, usage

pytestmark = pytest.mark.soak

DEVICES = size(200, 2000)
SECONDS = size(2, 8)
EVERY_S = 0.02
NOTICED_S = size(400, 100) / 1000
"""A gap that no reader notices; more in the small size, which runs beside other tests."""


async def longest_gap(bob: Caller, model: str) -> float:
    """Between pieces of a stream, but for the longest in a hundred (seconds)."""
    stream = await bob.say("Hi", model=model)
    at: list[float] = []

    def piece(stream: Exchange) -> bool:
        if len(stream.events) > len(at):
            at.extend([time.monotonic()] * (len(stream.events) - len(at)))
        return stream.over

    await stream.until(piece, within=10 * SECONDS + 30)
    assert stream.terminals[0]["type"] == "run.completed"
    gaps = sorted(later - earlier for earlier, later in pairwise(at))
    return gaps[int(len(gaps) * 0.99)]


@pytest.mark.long
async def test_it_has_twenty_at_a_time_and_others_hardly_notice(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    server = await new_server(max_connections_per_user=20)
    model = upstream.model(text(*["token "] * round(SECONDS / EVERY_S), every=EVERY_S), finish(), usage(), done())
    async with serving(server):
        await sign_up(server, "bob")
        async with calling(server, "bob") as bob:
            before = await longest_gap(bob, model)
            arguments = (str(server.port), server.tokens["alice"], str(DEVICES), str(SECONDS))
            crowd = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.support.crowd", *arguments, stdout=asyncio.subprocess.PIPE
            )
            during = await longest_gap(bob, model)
            out, _ = await crowd.communicate()
        seen = json.loads(out)
    record_property("crowd", {"before_s": before, "during_s": during, **seen})
    assert seen["4429"]
    assert during <= max(2 * before, NOTICED_S)
