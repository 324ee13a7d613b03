"""Upgrades that are offered, and those that got lost: HTTP/1 by hand against the real server's protocol classes."""

import base64
import json
import os

import httpx
import pytest

from tests.support.api import Api, said
from tests.support.logged import logged
from tests.support.raw_http import JSON, Line, chunked, dialled, head
from tests.support.raw_ws import TEXT, close, frame
from tests.support.ws import Door, token_of

CHAT = "/api/chat/protected"
BODY = json.dumps(said("The whole body arrives")).encode()
SETTINGS = ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")

JAVA = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), SETTINGS)
OFFERS = {
    "java": JAVA,
    "curl": (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMA")),
    "small letters": (("connection", "upgrade,http2-settings"), ("upgrade", "H2C"), SETTINGS),
    "two headers": (("Connection", "keep-alive"), ("Connection", "Upgrade"), ("Upgrade", "h2c")),
    "tls": (("Connection", "Upgrade"), ("Upgrade", "TLS/1.0")),
    "several": (("Connection", "Upgrade"), ("Upgrade", "foo/2, bar"), ("Upgrade", "h2c")),
    "empty": (("Connection", "Upgrade"), ("Upgrade", "")),
    "websocket, but a POST": (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
}  # fmt: skip


def key() -> tuple[tuple[str, str], ...]:
    return ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode())


def post(token: str, *lines: tuple[str, str], body: bytes = BODY, path: str = CHAT) -> bytes:
    length = (("Content-Length", str(len(body))), *JSON.items(), ("Authorization", f"Bearer {token}"))
    return head("POST", path, *lines, *length) + body


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_an_upgrade_to_what_is_not_spoken_here_is_ignored_and_the_body_is_whole(
    api: Api, door: Door, alice: httpx.AsyncClient, offer: tuple[tuple[str, str], ...]
) -> None:
    request = post(token_of(alice), *offer)
    api.model.then("Well heard")
    async with dialled(door.port) as line:
        await line.send(request)
        answer = await line.answer()
        assert (answer.status, answer.json["response"]) == (200, "Well heard")
        assert "upgrade" not in answer.headers
        assert api.model.calls[-1].prompt.messages[-1].content == "The whole body arrives"
        assert await kept(line)


@pytest.mark.parametrize("size", [1, 2, 37, 100])
async def test_it_may_come_in_any_number_of_segments(door: Door, alice: httpx.AsyncClient, size: int) -> None:
    request = post(token_of(alice), *JAVA)
    async with dialled(door.port) as line:
        await line.send(*(request[start : start + size] for start in range(0, len(request), size)))
        assert (await line.answer()).status == 200


async def test_the_body_may_come_by_itself_or_in_chunks(api: Api, door: Door, alice: httpx.AsyncClient) -> None:
    whole = post(token_of(alice), *JAVA)
    coded = head(
        "POST", CHAT, *JAVA, *JSON.items(), Authorization=f"Bearer {token_of(alice)}", Transfer_Encoding="chunked"
    )
    start = len(whole) - len(BODY)
    async with dialled(door.port) as line:
        for pieces in ((whole[:start], whole[start:]), (coded + chunked(BODY),), (coded, chunked(BODY))):
            await line.send(*pieces)
            assert (await line.answer()).status == 200
            assert api.model.calls[-1].prompt.messages[-1].content == "The whole body arrives"


async def test_the_answer_may_be_events(api: Api, door: Door, alice: httpx.AsyncClient) -> None:
    api.model.then("in ", "pieces")
    async with dialled(door.port) as line:
        await line.send(post(token_of(alice), *JAVA, body=json.dumps(said(stream=True)).encode()))
        answer = await line.answer()
    assert (answer.status, answer.framing) == (200, "chunked")
    assert b"event: run.completed" in answer.body


async def test_requests_that_follow_at_once_are_answered_in_their_order(door: Door) -> None:
    one, other = head("GET", "/health", *JAVA), head("GET", "/nowhere", *JAVA)
    with logged() as out:
        async with dialled(door.port) as line:
            await line.send(one + other + head("GET", "/health") + one)
            assert [(await line.answer()).status for _ in range(4)] == [200, 404, 200, 200]
    assert [entry for entry in out.lines if entry["level"] in {"warning", "error"}] == []


async def test_who_offers_one_and_wants_to_end_is_answered_and_closed(door: Door) -> None:
    async with dialled(door.port) as line:
        await line.send(head("GET", "/health", ("Connection", "close, Upgrade"), ("Upgrade", "h2c")))
        answer = await line.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await line.ended()


@pytest.mark.parametrize(
    "offer",
    [
        [("Connection", "Upgrade"), ("Upgrade", "websocket")],
        [("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")],
        [("Connection", "keep-alive"), ("Connection", "upgrade"), ("Upgrade", "h2c, websocket")],
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("Upgrade", "websocket"), SETTINGS],
    ],
)
async def test_among_several_a_websocket_is_found(
    door: Door, alice: httpx.AsyncClient, offer: list[tuple[str, str]]
) -> None:
    async with dialled(door.port) as line:
        await line.send(head("GET", "/ws/chat/raw", *offer, *key(), Authorization=f"Bearer {token_of(alice)}"))
        answer = (await line.reader.readuntil(b"\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 101 ")
        await line.send(frame(TEXT, b'{"type":"ping","id":"1"}'))
        assert (await line.reader.readexactly(2))[0] & 0x0F == TEXT
        await line.send(close(1000))


# -- the upgrade that is missing ---------------------------------------------------------------------------------------


def lost(*lines: tuple[str, str], method: str = "GET", version: str = "1.1") -> bytes:
    return head(method, "/ws/chat/phone", *lines, version=version)


@pytest.mark.parametrize(
    "request_head",
    [
        lost(*key()),
        lost(("Upgrade", "websocket"), *key()),
        lost(("Connection", "Upgrade"), *key()),
        lost(("Connection", "close"), *key()),
        lost(*JAVA, *key()),
        lost(("Connection", "Upgrade"), ("Upgrade", "websocket"), *key(), version="1.0"),
        lost(),
    ],
    ids=["both dropped", "Connection dropped", "Upgrade dropped", "close", "h2c", "1.0", "a browser's address bar"],
)
async def test_a_request_for_a_socket_that_offers_none_is_told_so(door: Door, request_head: bytes) -> None:
    async with dialled(door.port) as line:
        await line.send(request_head)
        answer = await line.answer()
    assert "proxy" in answer.problem(426, "upgrade_required")["detail"]
    assert answer.headers["upgrade"] == "websocket"
    assert "upgrade" in answer.headers["connection"].lower()
    assert answer.headers["sec-websocket-version"] == "13"


async def test_it_keeps_the_connection_and_is_counted_by_its_route(door: Door) -> None:
    with logged() as out:
        async with dialled(door.port) as line:
            await line.send(lost())
            assert (await line.answer()).status == 426
            await line.send(lost())
            assert (await line.answer()).status == 426
    assert {entry["route"] for entry in out.named("request")} == {"/ws/chat/{client_id}"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("offer", [(), (("Connection", "Upgrade"), ("Upgrade", "websocket"))])
async def test_other_methods_are_none_of_a_socket(door: Door, method: str, offer: tuple[tuple[str, str], ...]) -> None:
    async with dialled(door.port) as line:
        await line.send(head(method, "/ws/chat/phone", *offer, *key(), Content_Length="2") + b"{}")
        answer = await line.answer()
        answer.problem(405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"
        assert await kept(line)


async def kept(line: Line) -> bool:
    await line.send(head("GET", "/health"))
    return (await line.answer()).status == 200


@pytest.mark.parametrize("path", ["/ws", "/ws/chat", "/ws/chat/", "/ws/chat/a/b", "/ws/other/x"])
async def test_where_no_socket_is_nothing_is_said_of_upgrades(door: Door, path: str) -> None:
    async with dialled(door.port) as line:
        await line.send(head("GET", path, *key()))
        (await line.answer()).problem(404, "not_found")
