"""What somebody without a token may throw at the real process: sockets by hand, its memory read from /proc."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Record, ServerIn
from tests.support.eventually import eventually
from tests.support.fakes import settle
from tests.support.raw_http import Line, dialled, head, unread
from tests.support.raw_ws import CONTINUATION, PING, PONG, TEXT, RawDevice, frame
from tests.support.server import Server
from tests.support.sizes import size

MIB = 2**20
HEALTH = head("GET", "/health")
CHUNKED = head("POST", "/api/chat/protected", ("Transfer-Encoding", "chunked"), ("Content-Type", "application/json"))


@pytest.fixture(scope="module")
def edge(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody else uses: what it holds is what these tests made it hold."""
    server = server_in(tmp_path_factory.mktemp("edge"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def resident(server: Server) -> int:
    """Bytes in memory."""
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def pour(line: Line, data: bytes, most: int) -> int:
    """Sends the same again and again until the server closes; returns how many bytes it took.

    Past asyncio's stream, which forgets what it has received when something cannot be sent.
    """
    loop, sent = asyncio.get_running_loop(), 0
    with suppress(ConnectionError), line.writer.get_extra_info("socket").dup() as past:
        past.setblocking(False)
        while sent < most:
            async with asyncio.timeout(20):
                await loop.sock_sendall(past, data)
            await settle()  # else the answer is lost in the reset
            sent += len(data)
    return sent


HEADS = {
    "url": (b"GET /", b"a", 414),
    "header value": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a", 431),
    "header name": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a", 431),
    "headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:b\r\n", 431),
    "blank lines": (b"", b"\r\n", 400),
    "method": (b"", b"G", 400),
    "version": (b"GET / HTTP/1.", b"1", 400),
    "spaces": (b"GET ", b" ", 400),
    "chunk extension": (CHUNKED + b"1;", b"a", 400),
    "chunk size": (CHUNKED, b"0", 400),
    "trailer": (CHUNKED + b"0\r\nA: ", b"a", 400),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n", 400),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n", 400),
}


@pytest.mark.soak
@pytest.mark.parametrize("kind", HEADS)
async def test_what_never_ends_is_refused_and_costs_nothing(edge: Server, kind: str, record_property: Record) -> None:
    start, again, status = HEADS[kind]
    async with dialled(edge.port) as line:
        await line.send(HEALTH)
        assert (await line.answer()).status == 200
        before = resident(edge)
        line.writer.write(start)
        sending = asyncio.create_task(pour(line, again * (65_536 // len(again)), size(8, 400) * MIB))
        answer = await line.answer()
        answer.problem(answer.status, answer.json["code"])
        grown = resident(edge) - before
        sending.cancel()
    record_property("grown", grown)
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert grown < 5 * MIB
    assert edge.errors == []


@pytest.mark.soak
async def test_requests_without_end_whose_answers_nobody_reads_wait_where_they_are(edge: Server) -> None:
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(dialled(edge.port)) for _ in range(size(4, 20))]
        before = resident(edge)
        for line in lines:
            line.reader._transport.pause_reading()
            line.writer.write(HEALTH * size(8_000, 80_000))
        async with dialled(edge.port) as other:
            for _ in range(size(20, 200)):
                await other.send(HEALTH)
                assert (await other.answer()).status == 200
        assert resident(edge) - before < (5 + len(lines) / 2) * MIB


async def test_who_asks_much_at_once_and_leaves_without_a_word_is_no_fault_of_ours(edge: Server) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(unread(edge.port, head("GET", "/openapi.json") * 200))
        async with dialled(edge.port) as other:
            for _ in range(50):
                await other.send(HEALTH)
                assert (await other.answer()).status == 200
    async with dialled(edge.port) as other:
        for _ in range(50):
            await other.send(HEALTH)
            assert (await other.answer()).status == 200
    assert edge.errors == []


@pytest.mark.soak
@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("kind", ["pings", "large pings", "pongs", "empty fragments"])
async def test_frames_that_nobody_waits_for_are_cut_off(
    edge: Server, kind: str, signed_in: bool, record_property: Record
) -> None:
    flood = {
        "pings": frame(PING),
        "large pings": frame(PING, b"x" * 125),
        "pongs": frame(PONG),
        "empty fragments": frame(CONTINUATION, fin=False),
    }[kind]
    await (await edge.client()).aclose()
    async with RawDevice.connecting(edge.port, edge.tokens["alice"]):
        before = resident(edge)
    device = await RawDevice.connect(edge.port, edge.tokens["alice"] if signed_in else "", takes=4096)
    device.reader._transport.pause_reading()
    if kind == "empty fragments":
        device.send(frame(TEXT, b"{", fin=False))
    began_at = time.monotonic()
    with suppress(ConnectionError):
        while not device.writer.is_closing() and time.monotonic() - began_at < 9:
            device.send(flood * (65_536 // len(flood)))
            async with asyncio.timeout(5):
                await device.writer.drain()
            await settle()
    assert time.monotonic() - began_at < 5, "closed"
    record_property("grown", resident(edge) - before)
    assert resident(edge) - before < 2 * MIB
    device.leave()


async def closed_within(line: Line, seconds: float) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(seconds):
        return await line.reader.read()


@pytest.mark.soak
async def test_who_begins_and_does_not_go_on_is_sent_away(edge: Server, record_property: Record) -> None:
    """With the real times in full; in quick it is only that the others are served meanwhile, and what they hold."""
    async with AsyncExitStack() as stack:
        kinds = {
            "half head": b"GET / HTTP/1.1\r\nHost:",
            "silent": b"",
            "half body": BODY + b"x" * 900_000,
            "nearly all of a body": BODY.replace(b"1000000", b"65000") + b"x" * 64_900,
        }
        lines = {
            kind: [await stack.enter_async_context(dialled(edge.port)) for _ in range(size(50, 200))] for kind in kinds
        }
        before, began_at = resident(edge), time.monotonic()
        for kind, begun in lines.items():
            for line in begun:
                line.writer.write(kinds[kind])
        async with dialled(edge.port) as other:
            for _ in range(50):
                await other.send(HEALTH)
                assert (await other.answer()).status == 200
        assert all(line.writer.transport.get_write_buffer_size() == 0 for begun in lines.values() for line in begun)
        held = (resident(edge) - before) // (2 * len(lines["half body"]))
        record_property("held", held)
        assert held <= 64 * 1024 + REQUEST_BYTES
        if size(0, 1):
            answers = {
                kind: await asyncio.gather(*(closed_within(line, 45) for line in begun))
                for kind, begun in lines.items()
            }
            assert time.monotonic() - began_at < 35
            assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers["half head"])
            assert set(answers["silent"]) == {b""}
            assert all(answer.startswith(b"HTTP/1.1 413 ") for answer in answers["half body"])
            assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers["nearly all of a body"])


REQUEST_BYTES = 16 * 1024
"""What a request costs that is under way, without its body."""
BODY = head("POST", "/api/chat/protected", ("Content-Length", "1000000"), ("Content-Type", "application/json"))


@pytest.mark.soak
async def test_health_answers_when_there_are_more_connections_than_files(server_in: ServerIn, tmp_path: Path) -> None:
    files = 256
    server = server_in(tmp_path)
    server.launch()
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (files // 2, files))
    try:
        await server.start()
        async with AsyncExitStack() as stack:
            began = b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n" + FORM + b"\r\nusername"
            for _ in range(300):
                line = await stack.enter_async_context(dialled(server.port))
                line.writer.write(began)
            async with dialled(server.port) as line:
                await line.send(HEALTH)
                assert (await line.answer()).status == 200
            async with dialled(server.port) as line:
                await line.send(head("GET", "/api/me"))
                answer = await line.answer()
                assert answer.problem(*((503, "too_many_connections") if answer.status == 503 else REFUSED))
        [refused, *_] = [record for record in server.records if record["event"] == "connections_refused"]
        assert (refused["files"], refused["reason"]) == (files, "address")
        assert server.logged("connections_refused") <= 3

        async def told() -> bool:
            """When those who left are gone."""
            async with dialled(server.port) as line:
                await line.send(head("GET", "/metrics"))
                return b'chatorch_connections_refused_total{reason="address"}' in (await line.answer()).body

        await eventually(told)
        await no_files_at_all(server, files)
    finally:
        await server.stop()


async def no_files_at_all(server: Server, files: int) -> None:
    """As where something else has taken the last of them: it is said, and passes."""
    assert server.process is not None
    pid = server.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, files))

    async def said() -> bool:
        return server.logged("files_exhausted") > 0

    await eventually(said)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
    async with dialled(server.port) as line:
        await line.send(HEALTH)
        assert (await line.answer()).status == 200


REFUSED = (401, "not_authenticated")
"""To who found room, because those before had waited for a second."""
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
