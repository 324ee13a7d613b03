"""Followers that read nothing: each costs little, however long the answer, and gives it back when it leaves."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import NewServer, Record
from tests.support.eventually import eventually
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import Upstream, done, finish, pause, text, usage

pytestmark = pytest.mark.soak

CHARS = size(200_000, 1_000_000)
FOLLOWERS = size(30, 100)
EACH_BYTES = 200_000
TEXT_BYTES = 4 * CHARS + size(5_000_000, 6_000_000)
"""And what the allocator keeps, and SQLite's readers in their page caches, whoever reads."""
LITTLE = 4096
"""What a follower's kernel takes in."""


@pytest.fixture
async def long_answers(new_server: NewServer) -> AsyncIterator[Server]:
    async with serving(await new_server(max_answer_chars=CHARS)) as server:
        yield server


def resident(server: Server) -> int:
    """In bytes."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


class Unread:
    """So many requests on sockets from which nothing is read, from addresses of their own."""

    def __init__(self, server: Server, authorization: str, path: Callable[[int], str]) -> None:
        self._port = server.port
        self._head = f"Host: chat\r\nAuthorization: {authorization}\r\n\r\n"
        self._path = path
        self.sockets: list[socket.socket] = []

    async def open(self, stack: ExitStack, count: int) -> None:
        loop = asyncio.get_running_loop()
        for number in range(count):
            plug = stack.enter_context(socket.socket())
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
            plug.setblocking(False)
            plug.bind((f"127.0.0.{2 + number % 100}", 0))
            await loop.sock_connect(plug, ("127.0.0.1", self._port))
            await loop.sock_sendall(plug, f"GET {self._path(number)} HTTP/1.1\r\n{self._head}".encode())
            self.sockets.append(plug)


async def steady(server: Server) -> int:
    """What it holds when that does not rise any more."""
    seen = [resident(server)]

    async def rests() -> bool:
        seen.append(resident(server))
        return len(seen) > 5 and max(seen[-5:]) - min(seen[-5:]) < 1_000_000

    await eventually(rests, within=30.0, every=0.1)
    return seen[-1]


async def cost(server: Server, path: Callable[[int], str], record: Record, name: str) -> int:
    """How much more it holds for all who read nothing; checks that it is given back."""
    before = await steady(server)
    with ExitStack() as stack:
        unread = Unread(server, server_authorization(server), path)
        await unread.open(stack, FOLLOWERS)
        during = await steady(server)
    after = await steady(server)
    record(f"{name}_bytes", {"before": before, "during": during - before, "after": after - before})
    assert after - before <= TEXT_BYTES + FOLLOWERS * EACH_BYTES // 2
    return during - before


def server_authorization(server: Server) -> str:
    return f"Bearer {server.tokens['alice']}"


async def test_of_an_answer_that_has_ended_and_of_one_that_goes_on(
    long_answers: Server, upstream: Upstream, record_property: Record
):
    server, piece = long_answers, "😀" * 1000
    pieces = [piece] * (CHARS // len(piece))
    ended = upstream.model(text(*pieces), finish(), usage(), done())
    going_on = upstream.model(text(*pieces[1:]), pause("go on"), text(piece), finish(), usage(), done())
    async with calling(server) as alice:
        first = await (await alice.say("Hi", model=ended)).ended(60)
        live = await alice.say("Hi", model=going_on)
        await live.until(lambda stream: len(stream.text) >= CHARS - len(piece), 60)
        bound = TEXT_BYTES + FOLLOWERS * EACH_BYTES
        for name, run_id in (("ended", first.run_id), ("live", live.run_id)):
            path = f"/api/runs/{run_id}/events"
            for _ in range(4):  # what is kept for all readers; more at once than one user may have unread are given up
                await asyncio.gather(*(alice.run(run_id) for _ in range(3)))
            assert await cost(server, lambda n, p=path: f"{p}?after={n * 7}", record_property, name) <= bound
        upstream.release("go on")
        await live.ended(60)
        again = await (await alice.follow(live.run_id, CHARS // 2)).ended(60)
    assert again.text == live.text[CHARS // 2 - 1 :]
