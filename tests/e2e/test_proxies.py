"""Through real proxies, as docs/proxies.md configures them: `make proxies`."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from chatorch.entrypoints.doctor.outside import look_outside
from chatorch.entrypoints.settings import Settings
from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.proxies import PROXIES, blocks, proxy
from tests.support.server import Server
from tests.support.sockets import Caller
from tests.support.upstream import Upstream, done, finish, pause, text, usage
from tests.support.ws import doors_of

TOTAL_S = 600
PING_S = 20
KEEP_ALIVE_S = 75


@pytest.fixture(scope="module", params=["", "/chat"], ids=["at the root", "below a prefix"])
def behind(
    request: pytest.FixtureRequest, server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = server_in(tmp_path_factory.mktemp("behind"), trusted_proxies="127.0.0.1", model="mock-30-30")
    server.arguments = ("--root-path", request.param)
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@asynccontextmanager
async def through(kind: str, server: Server, folder: Path) -> AsyncIterator[tuple[Caller, int, str]]:
    """Alice, who calls through it, its port, and below what its service is."""
    prefix = server.arguments[1]
    with proxy(kind, server.port, folder / kind, prefixed=bool(prefix)) as port:
        caller = Caller(port, f"Bearer {server.tokens['alice']}")

        async def is_up() -> bool:
            with contextlib.suppress(OSError, AssertionError):
                return (await caller.get(f"{prefix}/health/ready")).status == 200
            return False

        await eventually(is_up, within=10, every=0.1)
        try:
            yield caller, port, prefix
        finally:
            await caller.close()


@pytest.mark.proxies
@pytest.mark.parametrize("kind", PROXIES)
async def test_streams_come_piece_by_piece_and_are_resumed(
    kind: str, behind: Server, upstream: Upstream, tmp_path: Path
):
    gate = kind + behind.arguments[1]
    model = upstream.model(text("one "), pause(gate), text("two"), finish(), usage(), done())
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "model": model}
    async with through(kind, behind, tmp_path) as (alice, _, prefix):
        stream = await alice.request("POST", f"{prefix}/api/chat/protected", body)
        await stream.until(lambda s: s.text == "one ")
        events = stream.headers["content-location"]
        assert events.startswith(f"{prefix}/api/runs/")
        seen = len(stream.events)
        upstream.release(gate)
        await stream.ended()
        assert stream.text == "one two"
        resumed = await alice.request("GET", events, headers={"last-event-id": str(stream.events[seen - 1]["seq"])})
        await resumed.ended()
        assert [e["seq"] for e in resumed.events] == [e["seq"] for e in stream.events[seen:]]


@pytest.mark.proxies
@pytest.mark.parametrize("kind", PROXIES)
async def test_websockets_413_addresses_and_the_prefix(kind: str, behind: Server, tmp_path: Path):
    async with through(kind, behind, tmp_path) as (_, port, prefix), doors_of(port) as door:
        page = {"origin": f"http://127.0.0.1:{port}"}
        device = await door.connect("phone", behind.tokens["alice"], path=f"{prefix}/ws/chat/phone", **page)
        assert (await device.ask("ping"))["type"] == "pong"
        spoofed = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6;host=evil", "X-Forwarded-Host": "evil"}
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://127.0.0.1:{port}{prefix}/", headers=spoofed
        ) as client:
            large = await client.post("api/chat", content=b"x" * 1_500_000)
            assert (large.status_code, large.json()["code"]) == (413, "content_too_large")
            document = (await client.get("openapi.json")).json()
        assert document.get("servers", []) == ([{"url": prefix}] if prefix else [])
    lines = [line for line in behind.records if line["event"] == "request" and line["status"] == 413]
    assert lines[-1]["client"] == "127.0.0.9"


@pytest.mark.proxies
@pytest.mark.parametrize("kind", PROXIES)
async def test_a_post_that_arrived_and_was_not_answered_is_not_repeated(kind: str, tmp_path: Path):
    arrived = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"GET "):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            arrived.append(head)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        with proxy(kind, server.sockets[0].getsockname()[1], tmp_path / kind) as port:
            for number in range(6):
                headers = {"Idempotency-Key": f"k{number}"} if number % 2 else {}
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

                    async def is_up(client: httpx.AsyncClient = client) -> bool:
                        with contextlib.suppress(httpx.TransportError):
                            return (await client.get("/health/ready")).status_code == 200
                        return False

                    await eventually(is_up, within=10, every=0.1)  # and the next one goes over a kept connection
                    with contextlib.suppress(httpx.RemoteProtocolError):  # haproxy says nothing, as nobody did to it
                        assert (await client.post("/api/chat", json={}, headers=headers)).status_code == 502
                assert len(arrived) == number + 1


@pytest.mark.proxies
async def test_nginx_asks_over_a_unix_socket(server_in: ServerIn, tmp_path: Path):
    (tmp_path / "s").mkdir()
    server = server_in(tmp_path / "s", trusted_proxies="unix")
    socket_file = tmp_path / "s" / "socket"
    server.arguments = ("--uds", str(socket_file), "--uds-mode", "666")
    server.launch()
    try:
        with proxy("nginx", f"unix:{socket_file}", tmp_path / "nginx") as port:
            async with httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(local_address="127.0.0.9"), base_url=f"http://127.0.0.1:{port}"
            ) as client:

                async def is_up() -> bool:
                    with contextlib.suppress(httpx.TransportError):
                        return (await client.get("/api/me")).status_code == 401
                    return False

                await eventually(is_up, within=20, every=0.1)
    finally:
        await server.stop()
    assert {line["client"] for line in server.records if line["event"] == "request"} == {"127.0.0.9"}


@pytest.mark.proxies
@pytest.mark.parametrize("kind", PROXIES)
async def test_the_doctor_finds_nothing_amiss_through_it(kind: str, behind: Server, tmp_path: Path):
    async with through(kind, behind, tmp_path) as (alice, port, prefix):
        settings = Settings(secret_key=behind.settings["SECRET_KEY"])
        found = await look_outside(f"http://127.0.0.1:{port}{prefix}/", settings, behind.tokens["alice"])
        assert [str(one) for one in found if not one.well] == []
        titles = [thread["title"] for thread in (await alice.get(f"{prefix}/api/threads")).json["data"]]
        assert [title for title in titles if title.startswith("Count")] == []


@pytest.mark.proxies
def test_proxies_wait_longer_than_answers_and_pings_take_and_close_first():
    waits = {
        "nginx": r"proxy_read_timeout (\d+)s",
        "haproxy": r"timeout (?:client|server|tunnel) (\d+)s",
        "caddy": r"response_header_timeout (\d+)s",
        "yaml": r'proxy-read-timeout: "(\d+)"',
    }
    keeps = {"nginx": r"keepalive_timeout (\d+)s", "haproxy": r"keep-alive (\d+)s", "caddy": r"keepalive (\d+)s"}
    for kind, pattern in waits.items():
        assert min(int(n) for n in re.findall(pattern, blocks(kind)[0])) > max(TOTAL_S, PING_S), kind
    for kind, pattern in keeps.items():
        assert [int(n) < KEEP_ALIVE_S for n in re.findall(pattern, blocks(kind)[0])] == [True], kind


@pytest.mark.proxies
def test_the_ingress_has_the_directives_of_nginx():
    ingress, nginx = blocks("yaml")[0], blocks("nginx")[0]
    annotations = dict(re.findall(r'nginx\.ingress\.kubernetes\.io/([a-z-]+): "?([^"\n]+)"?', ingress))
    directives = {
        "client_max_body_size" if n == "proxy-body-size" else n.replace("-", "_"): v for n, v in annotations.items()
    }
    assert len(directives) == 5
    for name, value in directives.items():
        assert re.search(rf"{name} {value}s?;", nginx), name
