"""Behind a proxy on loopback, on real sockets: whose address is logged, and whose page is ours."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, Apis
from tests.support.logged import logged
from tests.support.raw_http import dialled
from tests.support.raw_ws import RawDevice
from tests.support.ws import Door, served, token_of

CLIENT = "198.51.100.7"


@pytest.fixture
async def proxied(apis: Apis) -> Api:
    return await apis.start(trusted_proxies="127.0.0.1, 10.0.0.0/8", cors_origins="https://app.example")


@pytest.fixture
async def behind(proxied: Api) -> AsyncIterator[Door]:
    async with served(proxied) as door:
        yield door


async def line_of(door: Door, **headers: str) -> dict:
    """The log line of a request with these headers."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    with logged() as out:
        async with dialled(door.port) as line:
            await line.send(f"GET /api/me HTTP/1.1\r\n{lines or 'host: x'}\r\n\r\n".encode("latin-1"))
            await line.answer()
    [found] = [entry for entry in out.lines if entry["event"] == "request"]
    return found


async def status_of(door: Door, token: str, **headers: str) -> int:
    device = await RawDevice.connect(door.port, token, **{name.replace("_", "-"): v for name, v in headers.items()})
    device.leave()
    return device.status


CLIENTS: list[tuple[dict[str, str], str]] = [
    ({"X_Forwarded_For": f"6.6.6.6, {CLIENT}:4711, 10.1.2.3"}, CLIENT),
    ({"Forwarded": f'for=6.6.6.6, for="{CLIENT}:4711";proto=https'}, CLIENT),
    ({"X_Forwarded_For": "garbage"}, "127.0.0.1"),
    ({"X_Forwarded_For": CLIENT, "Forwarded": "for=6.6.6.6"}, "127.0.0.1"),
]

PAGES: list[tuple[str, str, dict[str, str], bool]] = [
    ("https://chat.example", "127.0.0.1:8000", {"X_Forwarded_Host": "chat.example"}, True),
    ("https://chat.example", "inner", {"X_Forwarded_Host": "Chat.Example:443"}, True),
    ("https://chat.example", "inner", {"X_Forwarded_Host": "6.6.6.6, chat.example"}, True),
    ("https://chat.example", "inner", {"Forwarded": "host=chat.example;proto=https"}, True),
    ("https://chat.example", "chat.example", {"X_Forwarded_Proto": "https"}, True),
    ("http://chat.example", "chat.example", {"X_Forwarded_Proto": "http"}, True),
    ("http://chat.example", "chat.example", {"X_Forwarded_Proto": "https"}, False),
    ("https://chat.example", "chat.example", {"X_Forwarded_Proto": "http"}, False),
    ("https://chat.example", "chat.example", {"X_Forwarded_Host": "other.example"}, False),
    ("https://chat.example", "inner", {}, False),
    ("https://inner", "inner", {"X_Forwarded_Host": "chat.example"}, False),
    ("https://chat.example.", "chat.example", {}, True),
    ("https://chat.example", "chat.example.", {}, True),
    ("https://xn--bcher-kva.example", "XN--Bcher-kva.example", {}, True),
    ("https://[2001:db8::1]:8443", "[2001:DB8:0::1]:8443", {}, True),
    ("https://chat.example", "chat.example:80", {}, False),
]


async def test_the_log_names_the_client_behind_a_trusted_proxy(behind: Door):
    for headers, client in CLIENTS:
        assert (await line_of(behind, Host="x", **headers))["client"] == client, headers


async def test_what_anybody_else_says_is_nothing_and_the_log_says_so_once(door: Door):
    with logged() as out:
        for _ in range(2):
            async with dialled(door.port) as line:
                await line.send(f"GET /api/me HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {CLIENT}\r\n\r\n".encode())
                await line.answer()
    assert [entry["client"] for entry in out.lines if entry["event"] == "request"] == ["127.0.0.1"] * 2
    [ignored] = [entry for entry in out.lines if entry["event"] == "forwarded_ignored"]
    assert "CHATORCH_TRUSTED_PROXIES" in ignored["problem"]
    assert CLIENT not in str(ignored)


async def test_the_log_names_the_client_of_a_websocket_too(behind: Door, proxied: Api):
    token = token_of(await proxied.user("alice"))
    with logged() as out:
        assert await status_of(behind, token, X_Forwarded_For=CLIENT, Origin="https://evil.example") == 403
    [line] = [entry for entry in out.lines if entry["event"] == "websocket"]
    assert line["client"] == CLIENT


async def test_a_page_is_ours_if_it_has_the_host_that_the_browser_asked_for(behind: Door, proxied: Api):
    token = token_of(await proxied.user("alice"))
    for origin, host, told, own in PAGES:
        status = await status_of(behind, token, Origin=origin, Host=host, **told)
        assert status == (101 if own else 403), (origin, host, told)


async def test_what_an_untrusted_peer_says_of_the_host_makes_no_page_ours(door: Door, api: Api):
    token = token_of(await api.user("alice"))
    page = {"Origin": "https://chat.example", "X_Forwarded_Host": "chat.example"}
    assert await status_of(door, token, Host="inner", **page) == 403


async def test_the_log_says_which_origin_met_which_host(behind: Door, proxied: Api):
    token = token_of(await proxied.user("alice"))
    with logged() as out:
        await status_of(behind, token, Origin="https://CHAT.example:443", Host="inner:8000")
    [line] = [entry for entry in out.lines if entry["event"] == "websocket"]
    assert (line["origin"], line["host"]) == ("https://chat.example", "inner:8000")
    line = await line_of(behind, Host="inner", X_Forwarded_Host="chat.example", Origin="https://evil.example")
    assert (line["origin"], line["host"]) == ("https://evil.example", "chat.example")
    line = await line_of(behind, Host="a b", Origin="https://evil.example/secret")
    assert (line["origin"], line["host"]) == ("unreadable", "unreadable")
    for well in ("https://app.example", "https://inner"):
        assert "origin" not in await line_of(behind, Host="inner", Origin=well)
