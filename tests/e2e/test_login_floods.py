"""Who guesses passwords, from however many addresses, keeps nobody else from signing in."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.e2e.conftest import Record
from tests.support.accounts import sign_up
from tests.support.server import PASSWORD, Server
from tests.support.sizes import size

ATTACKERS = 100
RIGHT = size(6, 20)
WITHIN_S = size(6, 2)
"""In every run of the tests others use the processors as well, and the attack takes all that is left."""


def login(username: str, password: str) -> bytes:
    form = f"grant_type=password&username={username}&password={password.replace(' ', '+')}".encode()
    return (
        b"POST /token HTTP/1.1\r\nhost: chat\r\n"
        b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n\r\n%b" % (len(form), form)
    )


class Visitor:
    """A connection from an address of its own, kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def sign_in(self, username: str, password: str = PASSWORD) -> int:
        """The status of the answer."""
        self._writer.write(login(username, password))
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await self._reader.readexactly(int(length.split(b":")[1]))
        return int(head.split(b" ", 2)[1])

    def leave(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def visiting(server: Server, address: str) -> AsyncIterator[Visitor]:
    visitor = Visitor(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0)))
    try:
        yield visitor
    finally:
        visitor.leave()


@asynccontextmanager
async def attack(server: Server, address: Callable[[int], str], name: Callable[[int], str]) -> AsyncIterator[Counter]:
    """So many connections that guess as fast as they are answered, from before the block until after it."""
    seen: Counter[int] = Counter()
    begun = asyncio.Event()

    async def guess(number: int) -> None:
        async with visiting(server, address(number)) as visitor:
            for count in itertools.count():
                seen[await visitor.sign_in(name(number), f"wrong password {number} {count}")] += 1
                begun.set()

    guessing = [asyncio.create_task(guess(number)) for number in range(ATTACKERS)]
    try:
        async with asyncio.timeout(10):
            await begun.wait()
        yield seen
    finally:
        for task in guessing:
            task.cancel()
        await asyncio.gather(*guessing, return_exceptions=True)


def one_address(_: int) -> str:
    return "127.0.1.1"


def many_addresses(number: int) -> str:
    return f"127.0.2.{number + 1}"


def the_same_name(_: int) -> str:
    return "guessed"


def many_names(number: int) -> str:
    return f"nobody{number}"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("address", "name"),
    [(many_addresses, the_same_name), (one_address, the_same_name), (many_addresses, many_names)][: size(1, 3)],
)
async def test_the_right_one_signs_in_beside_a_hundred_who_guess(
    server: Server, address: Callable[[int], str], name: Callable[[int], str], record_property: Record
) -> None:
    if "guessed" not in server.tokens:
        await sign_up(server, "guessed")
    statuses, times = [], []
    async with attack(server, address, name) as seen:
        for _ in range(RIGHT):
            async with visiting(server, "127.0.9.9") as right:
                asked_at = time.monotonic()
                statuses.append(await right.sign_in("guessed"))
                times.append(time.monotonic() - asked_at)
    record_property("slowest", f"{max(times):.2f} s")
    assert statuses == [200] * RIGHT, (Counter(statuses), seen)
    assert max(times) <= WITHIN_S, (sorted(times), seen)
    assert seen[401], seen
