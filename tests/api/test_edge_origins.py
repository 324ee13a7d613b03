"""Pages of other origins: what their browsers ask first, and what they may do, over HTTP and WebSocket alike."""

from collections.abc import Iterable

import httpx
import pytest
from starlette.routing import BaseRoute

from chatorch.entrypoints.doors import open_doors
from chatorch.entrypoints.settings import Settings
from tests.support.api import SECRET_KEY, Api, Apis, said
from tests.support.raw_ws import RawDevice
from tests.support.ws import Door, served, token_of

NAMED = (
    "https://APP.example:443/, https://*.example.com, tauri://localhost, capacitor://localhost, https://bücher.example"
)

ALLOWED = [
    "https://app.example",
    "https://chat.example.com",
    "https://a.b.example.com",
    "tauri://localhost",
    "capacitor://localhost",
    "https://xn--bcher-kva.example",
]
FOREIGN = [
    "null",
    "https://evil.example",
    "https://app.example.evil.example",
    "https://example.com",
    "https://evilexample.com",
    "http://chat.example.com",
    "https://chat.example.com:8443",
    "https://*.example.com",
    "tauri://evil",
    "ionic://localhost",
    "http://localhost",
]

SENT_BY_FRONT_ENDS = [
    "traceparent, baggage, x-requested-with, cache-control",
    "traceparent,tracestate",
    "sentry-trace,baggage,authorization,content-type",
    "pragma,cache-control,if-none-match",
    "idempotency-key,last-event-id,x-request-id",
    "accept,accept-language,content-language,content-type",
    "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id",
    "x-b3-sampled,x-b3-spanid,x-b3-traceid",
    "newrelic,request-id,x-correlation-id",
    "x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-retry-count,x-stainless-timeout,user-agent",
    "Authorization, Content-Type",
    "",
    " authorization ,,content-type,",
]


def asked(origin: str, headers: str | None = "authorization,content-type", method: str = "POST") -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return asked if headers is None else asked | {"Access-Control-Request-Headers": headers}


@pytest.fixture
async def named(apis: Apis) -> Api:
    return await apis.start(cors_origins=NAMED)


async def status_of(port: int, token: str, **headers: str) -> int:
    """What a WebSocket with these headers is answered: 101 lets it in."""
    device = await RawDevice.connect(port, token, **headers)
    device.leave()
    return device.status


async def test_both_doors_let_the_same_pages_in(named: Api) -> None:
    alice = await named.user("alice")
    async with served(named) as door:
        for origin in ALLOWED + FOREIGN:
            preflight = await alice.options("/api/chat/protected", headers=asked(origin))
            answer = await alice.get("/api/me", headers={"Origin": origin})
            expected = origin if origin in ALLOWED else None
            assert preflight.status_code == (200 if expected else 400), origin
            for response in (preflight, answer):
                assert response.headers.get("Access-Control-Allow-Origin") == expected
                assert "Origin" in response.headers["Vary"]
            assert await status_of(door.port, token_of(alice), Origin=origin) == (101 if expected else 403), origin


@pytest.mark.parametrize("path", ["/api/chat", "/api/runs/x/retry", "/token", "/chatkit", "/nowhere"])
async def test_a_page_reads_the_answer_whatever_it_is(named: Api, path: str) -> None:
    answer = await named.anonymous().post(path, headers={"Origin": "tauri://localhost"}, json=said())
    assert answer.headers["Access-Control-Allow-Origin"] == "tauri://localhost"
    exposed = answer.headers["Access-Control-Expose-Headers"].lower()
    assert {name for name in answer.headers if name in {"x-request-id", "www-authenticate"}} <= set(exposed.split(", "))


@pytest.mark.parametrize("headers", SENT_BY_FRONT_ENDS)
async def test_what_front_ends_send_by_themselves_may_be_sent(named: Api, headers: str) -> None:
    answer = await named.anonymous().options("/api/chat", headers=asked("https://app.example", headers))
    assert answer.status_code == 200
    allowed = {name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert {name.strip().lower() for name in headers.split(",")} - {""} <= allowed


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("PUT", 200), ("PATCH", 200), ("DELETE", 200), ("BREW", 400)]
)
async def test_methods_that_routes_have_may_be_used(named: Api, method: str, status: int) -> None:
    wanted = asked("https://app.example", "authorization", method)
    assert (await named.anonymous().options("/api/threads", headers=wanted)).status_code == status


async def test_pages_may_use_the_methods_of_every_route(named: Api) -> None:
    used = {method for door in open_doors(Settings(secret_key=SECRET_KEY)) for method in _methods(door.routes)}
    for method in used - {"OPTIONS"}:
        wanted = asked("https://app.example", "authorization", method)
        assert (await named.anonymous().options("/api/threads", headers=wanted)).status_code == 200, method


def _methods(routes: Iterable[BaseRoute]) -> set[str]:
    return {method for route in routes for method in getattr(route, "methods", None) or ()}


async def test_other_headers_are_the_operators_to_allow(apis: Apis, named: Api) -> None:
    also = await apis.start(cors_origins=NAMED, cors_headers="X-Tenant, x-other")
    wanted = asked("https://app.example", "x-tenant, X-OTHER, authorization")
    refused = await named.anonymous().options("/api/chat", headers=wanted)
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")
    assert "CHATORCH_CORS_HEADERS" in refused.json()["detail"]
    assert "tenant" not in refused.text
    assert (await also.anonymous().options("/api/chat", headers=wanted)).status_code == 200
    assert (await also.anonymous().options("/api/chat", headers=asked("https://app.example", "x-y"))).status_code == 400


async def test_all_headers_may_be_allowed_and_all_origins(apis: Apis) -> None:
    api = await apis.start(cors_origins="*", cors_headers="*")
    answer = await api.anonymous().options("/api/chat", headers=asked("app://anything", "x-y, z"))
    assert (answer.status_code, answer.headers["Access-Control-Allow-Headers"]) == (200, "x-y, z")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    async with served(api) as door:
        token = token_of(await api.user("alice"))
        assert await status_of(door.port, token, Origin="app://anything") == 101
        assert await status_of(door.port, token, Origin="null") == 403


async def test_a_page_of_the_internet_may_ask_for_a_server_on_a_private_network(named: Api) -> None:
    wanted = asked("https://app.example") | {"Access-Control-Request-Private-Network": "true"}
    answer = await named.anonymous().options("/api/chat", headers=wanted)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Private-Network"]) == (200, "true")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://chat.example:8000", "chat.example:8000", True),
        ("https://chat.example", "chat.example", True),
        ("https://chat.example", "chat.example:443", True),
        ("https://chat.example:443", "chat.example", True),
        ("http://Chat.example", "chat.EXAMPLE:80", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://chat.example", "chat.example:8443", False),
        ("https://chat.example:8443", "chat.example", False),
        ("http://chat.example", "other.example", False),
        ("tauri://chat.example", "chat.example", False),
    ],
)
async def test_our_own_page_may_connect_however_its_port_is_written(
    door: Door, alice: httpx.AsyncClient, origin: str, host: str, own: bool
) -> None:
    assert await status_of(door.port, token_of(alice), Origin=origin, Host=host) == (101 if own else 403)
