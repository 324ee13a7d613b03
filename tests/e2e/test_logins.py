"""Many who sign in at once: hashing happens in a bounded pool, so nobody's stream stands still."""

import asyncio
import statistics
from itertools import pairwise

import pytest

from tests.support.accounts import sign_up
from tests.support.server import PASSWORD, Server
from tests.support.sizes import size
from tests.support.sockets import Caller, calling

LOGINS = 50
PIECES = 120
MAX_PIECES = 1000
EVERY_MS = 10
MODEL = f"mock-{MAX_PIECES}-{EVERY_MS}"


class Logins:
    """Signing in on sockets of their own, with as little work on this side as can be."""

    def __init__(self, port: int, username: str, password: str = PASSWORD) -> None:
        form = f"grant_type=password&username={username}&password={password.replace(' ', '+')}".encode()
        self._port = port
        self._request = (
            b"POST /token HTTP/1.1\r\nhost: chat\r\nconnection: close\r\n"
            b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n\r\n%b" % (len(form), form)
        )

    async def one(self) -> int:
        """The status of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1])

    async def at_once(self, count: int) -> list[int]:
        return await asyncio.gather(*(self.one() for _ in range(count)))


async def p99_gap(caller: Caller, logins: Logins | None) -> float:
    """The 99th percentile of the time between two pieces of a stream, with or without a wave of logins in its midst."""
    stream = await caller.say("Go", model=MODEL)
    await stream.until(lambda s: len(s.events) > 5)
    if logins is not None:
        before = len(stream.events)
        assert set(await logins.at_once(LOGINS)) == {200}
        assert len(stream.events) - before >= PIECES / 5, "the logins were over too soon to tell anything"
    await stream.until(lambda s: len(s.events) > PIECES)
    await caller.cancel(stream.run_id)
    await stream.ended()
    assert "".join(f" tok{i}" for i in range(MAX_PIECES)).startswith(stream.text)
    times = [at for at, event in zip(stream.times, stream.events, strict=True) if event["type"] == "message.delta"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return statistics.quantiles(gaps, n=100, method="inclusive")[-1]


@pytest.fixture
async def crowd(server: Server) -> Logins:
    """Of one user, whose password is hashed at full strength."""
    if "streamer" not in server.tokens:
        await sign_up(server, "streamer")
    return Logins(server.port, "streamer")


@pytest.mark.long
async def test_a_live_stream_is_hardly_slowed_by_fifty_logins_at_once(server: Server, crowd: Logins) -> None:
    async with calling(server, "streamer") as caller:
        await p99_gap(caller, crowd)
        alone, busy = [], []
        for _ in range(size(3, 15)):
            alone.append(await p99_gap(caller, None))
            busy.append(await p99_gap(caller, crowd))
    assert statistics.median(busy) <= 2 * statistics.median(alone), (alone, busy)


async def test_more_logins_than_can_wait_are_turned_away_and_the_rest_are_let_in(crowd: Logins) -> None:
    statuses = await crowd.at_once(200)
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 64
    assert await crowd.at_once(10) == [200] * 10
