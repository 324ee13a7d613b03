"""Who gets in by WebSocket, and how those who do not are told."""

import json
from dataclasses import replace

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.identity import Scope
from tests.support.api import Api, Apis
from tests.support.logged import logged
from tests.support.ws import SUBPROTOCOL, Door, served, token_of


async def refused(door: Door, **arguments: object) -> tuple[int, dict]:
    """The answer in place of an upgrade."""
    with pytest.raises(InvalidStatus) as caught:
        await door.connect(**arguments)
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    body = json.loads(response.body)
    assert response.headers["X-Request-ID"] == body["request_id"]
    return response.status_code, body


# -- the token ---------------------------------------------------------------------------------------------------------


async def test_a_token_may_come_in_the_header(door: Door, alice: httpx.AsyncClient):
    phone = await door.connect(token=token_of(alice))
    assert await phone.ask("ping", id="1") == {"type": "pong", "id": "1"}
    assert phone.connection.subprotocol is None


async def test_a_token_may_come_as_a_sub_protocol_and_is_not_the_one_picked(door: Door, alice: httpx.AsyncClient):
    phone = await door.connect(subprotocols=[SUBPROTOCOL, f"bearer.{token_of(alice)}"])
    assert phone.connection.subprotocol == SUBPROTOCOL
    assert (await phone.ask("ping"))["type"] == "pong"


async def test_a_token_may_come_in_the_first_frame(door: Door, alice: httpx.AsyncClient):
    phone = await door.connect(subprotocols=[SUBPROTOCOL])
    assert await phone.ask("auth", id="a", token=token_of(alice)) == {"type": "ack", "id": "a"}
    assert (await phone.ask("ping"))["type"] == "pong"


async def test_a_token_in_the_url_is_not_taken_and_comes_into_no_log(door: Door, alice: httpx.AsyncClient):
    token = token_of(alice)
    with logged(level="debug") as out:
        for query in (f"?token={token}", f"?access_token={token}", f"?authorization=Bearer%20{token}"):
            phone = await door.connect(query=query)
            await phone.send("ping")
            assert await phone.close_code() == 4401
        await refused(door, query=f"?token={token}", origin="https://evil.example")
        await refused(door, client_id="a%20b", query=f"?token={token}")
    assert token not in out.text
    assert token.rpartition(".")[2] not in out.text
    assert [line["code"] for line in out.named("websocket")] == [4401, 4401, 4401, 403, 404]
    assert {line["level"] for line in out.lines} <= {"debug", "info"}, "any page could fill the log of errors"


@pytest.mark.parametrize("wrong", ["Bearer nonsense", "Basic YTpi", "Bearer", "nonsense"])
async def test_a_wrong_header_is_let_in_and_told_4401(door: Door, wrong: str):
    phone = await door.connect(headers={"Authorization": wrong})
    assert await phone.close_code() == 4401


async def test_a_wrong_sub_protocol_or_first_frame_is_told_4401(door: Door):
    phone = await door.connect(subprotocols=[SUBPROTOCOL, "bearer.nonsense"])
    assert await phone.close_code() == 4401
    for first in ('{"type":"auth","token":"nonsense"}', '{"type":"ping"}', "nonsense", '{"type":"auth"}', "[]"):
        phone = await door.connect()
        await phone.connection.send(first)
        assert await phone.close_code() == 4401
        assert phone.frames == []


async def test_a_binary_first_frame_is_told_1003(door: Door):
    phone = await door.connect()
    await phone.connection.send(b"\x00")
    assert await phone.close_code() == 1003


async def test_who_brings_no_token_in_time_is_told_4401(apis: Apis):
    async with served(await apis.start(ws_auth_deadline_s=0.1)) as door:
        phone = await door.connect()
        assert await phone.close_code() == 4401


async def test_a_token_without_the_scope_is_told_4403(memory_api: Api, store: MemoryStore):
    alice = await memory_api.user("alice")
    tokens = memory_api.container.tokens()
    claims = tokens.claims_of(token_of(alice), memory_api.container.clock().now())
    token = tokens.issue(replace(claims, scopes=frozenset({Scope.ADMIN})))
    async with served(memory_api) as door:
        assert await (await door.connect(token=token)).close_code() == 4403
        phone = await door.connect()
        await phone.send("auth", token=token)
        assert await phone.close_code() == 4403


async def test_while_the_store_is_away_nobody_is_told_that_the_token_is_bad(memory_api: Api, store: MemoryStore):
    token = token_of(await memory_api.user("alice"))
    async with served(memory_api) as door:
        store.available = False
        status, body = await refused(door, token=token)
        assert (status, body["code"]) == (503, "store_unavailable")
        phone = await door.connect()
        await phone.send("auth", token=token)
        assert await phone.close_code() == 1013


# -- the origin --------------------------------------------------------------------------------------------------------

PAGE = "https://chat.example.com"

FOREIGN = [
    "null",
    "https://evil.example",
    "http://chat.example.com",
    "https://chat.example.com.evil.example",
    "https://evil-chat.example.com",
    "https://xchat.example.com",
    "https://chat.example.com:8443",
    "https://chat.example.com:444",
    "https://chat.example.com/",
    "https://chat.example.com@evil.example",
    "https://evil.example/https://chat.example.com",
    "https://evil.example#https://chat.example.com",
    "https://evil.example?chat.example.com",
    "https://chat.example.comevil",
    "https://chat.example",
    "https://example.com",
    "https://sub.chat.example.com",
    "chat.example.com",
    "//chat.example.com",
    "ftp://chat.example.com",
    "file://",
    "https://",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost",
    "https://chat.example.com https://evil.example",
    "https://chat.example.com, https://evil.example",
    "chrome-extension://abcdefgh",
    "https://chat.example.com.",
    "https://chat。example。com".encode().decode("latin1"),
]


async def test_a_foreign_page_is_refused_before_the_upgrade(apis: Apis):
    assert len(FOREIGN) >= 20
    api = await apis.start(cors_origins=PAGE)
    token = token_of(await api.user("alice"))
    async with served(api) as door:
        for origin in FOREIGN:
            status, body = await refused(door, token=token, headers={"Origin": origin})
            assert (status, body["code"]) == (403, "origin_not_allowed"), origin
            assert "evil" not in json.dumps(body)


async def test_two_origins_at_once_are_refused(door: Door, alice: httpx.AsyncClient):
    own = f"http://127.0.0.1:{door.port}"
    with pytest.raises(InvalidStatus) as caught:
        await door.connect("phone", token_of(alice), headers={"Origin": own}, origin=own)
    assert caught.value.response.status_code in {400, 403}


async def test_pages_that_the_operator_lists_and_our_own_may_connect(apis: Apis):
    api = await apis.start(cors_origins=PAGE)
    token = token_of(await api.user("alice"))
    async with served(api) as door:
        own = f"127.0.0.1:{door.port}"
        for origin in (PAGE, f"http://{own}", f"https://{own}", f"HTTP://{own}"):
            phone = await door.connect(token=token, origin=origin)
            assert (await phone.ask("ping"))["type"] == "pong"


async def test_where_any_page_may_connect_null_still_may_not(apis: Apis):
    api = await apis.start(cors_origins="*")
    token = token_of(await api.user("alice"))
    async with served(api) as door:
        assert (await refused(door, token=token, headers={"Origin": "null"}))[0] == 403
        phone = await door.connect(token=token, origin="https://anybody.example")
        assert (await phone.ask("ping"))["type"] == "pong"


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a%20b", "%00", "a" * 65, "%C3%A4", "a%0a", "a%2Fb"])
async def test_a_device_has_a_plain_name(door: Door, alice: httpx.AsyncClient, name: str):
    with pytest.raises(InvalidStatus) as caught:
        await door.connect(name, token_of(alice))
    assert caught.value.response.status_code == 404


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/chat", "/ws/chat/", "/ws/chat/a/b", "/health", "/api/chat"])
async def test_where_no_socket_is_the_answer_is_404_as_over_http(door: Door, alice: httpx.AsyncClient, path: str):
    with logged() as out:
        status, body = await refused(door, token=token_of(alice), path=path, query="?secret")
    assert (status, body["code"]) == (404, "not_found")
    assert [(line["route"], line["code"]) for line in out.named("websocket")] == [("unmatched", 404)]
    assert "secret" not in out.text


async def test_a_device_may_use_all_of_its_name(door: Door, alice: httpx.AsyncClient):
    phone = await door.connect("Phone_2.0-" + "x" * 54, token_of(alice))
    assert (await phone.ask("ping"))["type"] == "pong"


async def test_a_connection_is_one_line_in_the_log(door: Door, alice: httpx.AsyncClient):
    with logged() as out:
        phone = await door.connect(token=token_of(alice), headers={"X-Request-ID": "req-1"})
        assert phone.connection.response.headers["X-Request-ID"] == "req-1"
        await phone.ask("ping")
        await phone.connection.close(3999, "so long")
        await phone.connection.wait_closed()
        await (await door.connect("tablet", token_of(alice))).ask("ping")
    [line] = out.named("websocket")
    assert (line["code"], line["route"], line["client"], line["request_id"]) == (
        3999, "/ws/chat/{client_id}", "127.0.0.1", "req-1",
    )  # fmt: skip
    assert line["duration_ms"] > 0
    assert [other["event"] for other in out.lines if "ebSocket" in other["event"]] == []
    assert "so long" not in out.text
