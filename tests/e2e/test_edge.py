"""The edge of the real server, on its own event loop: clients that are not like the one of our other tests."""

import asyncio
import json
import socket

import pytest

from tests.support.raw_http import JSON, dialled, head
from tests.support.server import Server, parse_events, shown
from tests.support.upstream import Upstream, done, finish, usage
from tests.support.upstream import text as says

CHAT = "/api/chat/protected"
MIB = 2**20
BOUND_S = 20.0
H2C = (
    ("Connection", "Upgrade, HTTP2-Settings"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
)


def asking(server: Server, model: str, *lines: tuple[str, str], version: str = "1.1", stream: bool = False) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "model": model, "stream": stream}).encode()
    signed = ("Authorization", f"Bearer {server.tokens['alice']}")
    length = ("Content-Length", str(len(body)))
    return head("POST", CHAT, signed, length, *JSON.items(), *lines, version=version) + body


@pytest.fixture
def model(upstream: Upstream) -> str:
    return upstream.model(says("Well "), says("heard"), finish(), usage(), done())


async def test_java_asks_again_and_again_on_one_connection(server: Server, model: str):
    async with dialled(server.port) as line:
        for stream in (False, True, False):
            sent = asking(server, model, *H2C, stream=stream)
            await line.send(sent[:200], sent[200:-10], sent[-10:])
            answer = await line.answer()
            assert answer.status == 200
            text = shown(parse_events(answer.body.decode())) if stream else answer.json["response"]
            assert text == "Well heard"
    assert server.errors == []
    assert "nsupported upgrade" not in server.log


@pytest.mark.parametrize("lines", [(), (("Connection", "keep-alive"),)])
async def test_a_client_of_1996_reads_events_until_the_connection_ends(
    server: Server, model: str, lines: tuple[tuple[str, str], ...]
):
    async with dialled(server.port) as line:
        await line.send(asking(server, model, *lines, version="1.0", stream=True))
        answer = await line.answer()
    assert answer.framing == "close"
    assert shown(parse_events(answer.body.decode())) == "Well heard"


def send_all_then_read(port: int, sent: bytes, size: int, piece: int = 100_000) -> bytes:
    """As a blocking client does it: not a byte is read before the last one is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND_S) as plug:
        plug.sendall(sent)
        for start in range(0, size, piece):
            plug.sendall(b"x" * min(piece, size - start))
        return b"".join(iter(lambda: plug.recv(65536), b""))


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB, 17 * MIB, 50 * MIB])
@pytest.mark.parametrize("path", [CHAT, "/chatkit", "/token"])
async def test_who_reads_after_sending_sees_the_413(server: Server, path: str, size: int):
    kind = "application/x-www-form-urlencoded" if path == "/token" else "application/json"
    sent = head("POST", path, ("Content-Type", kind), ("Content-Length", str(size)))
    got = await asyncio.to_thread(send_all_then_read, server.port, sent, size)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"content_too_large"' in got


async def test_a_socket_without_its_upgrade_is_told_what_is_missing(server: Server):
    async with dialled(server.port) as line:
        await line.send(head("GET", "/ws/chat/phone", *H2C))
        (await line.answer()).problem(426, "upgrade_required")
        await line.send(head("GET", "/health"))
        assert (await line.answer()).status == 200
