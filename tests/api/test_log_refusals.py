"""What the parser, the connection or the handshake refuses has a log line too, that says why as the client is told."""

import json

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.entrypoints.common.connection import HttpConnection
from tests.support.api import Api
from tests.support.canaries import Canaries
from tests.support.fakes import settle
from tests.support.logged import logged
from tests.support.raw_http import Answer, dialled, head
from tests.support.ws import Door, served, token_of

CHAT = "/api/chat/protected"
LONG = b"a" * 70_000
WS = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def kinds(secret: str) -> dict[str, tuple[int, str, bytes]]:
    """By what is wrong: status, code, and what is sent."""
    path, mark = f"/{secret}?{secret}", secret.encode()
    chunks = head("POST", CHAT, Transfer_Encoding="chunked", Content_Type="application/json")
    return {
        "no HTTP": (400, "bad_request", mark + b"\r\n\r\n"),
        "no such method": (400, "bad_request", b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % mark.upper()),
        "a broken header": (400, "bad_request", b"GET / HTTP/1.1\r\nHost: x\r\n%b\x01: %b\r\n\r\n" % (mark, mark)),
        "no host": (400, "bad_request", b"GET /%b HTTP/1.1\r\nX: %b\r\n\r\n" % (mark, mark)),
        "two hosts": (400, "bad_request", head("GET", path, ("Host", secret))),
        "a host that is none": (400, "bad_request", b"GET / HTTP/1.1\r\nHost: %b/%b\r\n\r\n" % (mark, mark)),
        "a fragment": (400, "bad_request", head("GET", f"{path}#{secret}")),
        "a proxy's request": (400, "bad_request", head("CONNECT", f"{secret}:443")),
        "no web address": (400, "bad_request", head("GET", f"ftp://{secret}/")),
        "a user in the address": (400, "bad_request", head("GET", f"http://{secret}@chat/")),
        "two lengths": (400, "bad_request", head("POST", path, ("Content-Length", "1"), ("Content-Length", "2"))),
        "a length that is none": (400, "bad_request", head("POST", path, Content_Length=secret)),
        "both framings": (400, "bad_request", head("POST", path, Content_Length="1", Transfer_Encoding="chunked")),
        "a broken chunk": (400, "bad_request", chunks + mark + b"\r\n"),
        "chunks in HTTP/1.0": (400, "bad_request", head("POST", path, Transfer_Encoding="chunked", version="1.0")),
        "a long address": (414, "uri_too_long", b"GET /%b%b HTTP/1.1\r\n\r\n" % (mark, LONG)),
        "a long head": (431, "headers_too_large", b"GET / HTTP/1.1\r\n%b: %b" % (mark, LONG)),
        "many headers": (431, "headers_too_large", head("GET", path, *[("X", secret)] * 200)),
        "another coding": (501, "unknown_transfer_coding", head("POST", path, Transfer_Encoding="gzip, chunked")),
        "another version": (505, "unknown_http_version", head("GET", path, version="2.0")),
    }


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


async def refused(door: Door, sent: bytes) -> Answer:
    async with dialled(door.port) as line:
        await line.send(sent)
        return await line.answer()


async def test_what_is_no_request_has_a_line_that_says_why(door: Door, canaries: Canaries) -> None:
    for kind in kinds(""):
        status, code, sent = kinds(canaries[kind])[kind]
        with logged(level="debug") as out:
            answer = await refused(door, sent)
        problem = answer.problem(status, code)
        [line] = out.named("request")
        told = {"status": status, "code": code, "detail": problem["detail"], "request_id": problem["request_id"]}
        assert line.items() >= (told | {"client": "127.0.0.1"}).items(), kind
        assert canaries.found_in(out.text) == []


class Hasty(HttpConnection):
    head_s = 0.1
    body_s = 0.1


async def test_what_does_not_come_in_time_has_a_line(api: Api, alice: httpx.AsyncClient) -> None:
    """Half a head, and half a body."""
    whole = {"Content_Length": "99", "Content_Type": "application/json", "Authorization": f"Bearer {token_of(alice)}"}
    async with served(api, http=Hasty) as door:
        for sent in (b"GET /canary HTTP/1.1\r\nX-Canary: canary", head("POST", CHAT, **whole)):
            with logged() as out:
                problem = (await refused(door, sent)).problem(408, "request_timeout")
            [line] = out.named("request")
            assert (line["status"], line["code"], line["detail"]) == (408, "request_timeout", problem["detail"])
            assert "canary" not in out.text


HANDSHAKES: list[tuple[dict[str, str], str, int, str]] = [
    ({**WS, "Sec_WebSocket_Key": "canary"}, "/ws/chat/phone", 400, "bad_handshake"),
    (WS, "/ws/chat/phone", 400, "bad_handshake"),
    ({**WS, "Sec_WebSocket_Key": KEY, "Sec_WebSocket_Version": "8"}, "/ws/chat/phone", 400, "bad_handshake"),
    ({**WS, "Sec_WebSocket_Key": KEY, "Origin": "https://x.invalid"}, "/ws/chat/a", 403, "origin_not_allowed"),
    ({**WS, "Sec_WebSocket_Key": KEY}, "/ws/chat/canary!", 404, "not_found"),
    ({**WS, "Sec_WebSocket_Key": KEY}, "/canary?canary", 404, "not_found"),
    ({}, "/ws/chat/canary", 426, "upgrade_required"),
]


async def test_a_handshake_that_is_refused_has_a_line_that_says_why(door: Door) -> None:
    for lines, path, status, code in HANDSHAKES:
        with logged() as out:
            answer = await refused(door, head("GET", path, **lines))
            await settle()
        problem = json.loads(answer.body)
        assert (answer.status, problem["code"]) == (status, code)
        [line] = [line for line in out.lines if line["event"] in {"request", "websocket"}]
        assert code in {line["code"], line.get("refused")}
        assert (line["detail"], line["request_id"]) == (problem["detail"], problem["request_id"])
        assert line["client"] == "127.0.0.1"
        assert "canary" not in out.text


async def test_a_frame_that_is_refused_has_a_line_that_says_why(
    memory_api: Api, store: MemoryStore, canaries: Canaries
) -> None:
    alice = await memory_api.user("alice")
    text = canaries["text"]
    async with served(memory_api) as door:
        phone = await door.connect("phone", token_of(alice))
        with logged(level="debug") as out:
            told = [
                await phone.ask("run.cancel", run_id=text),
                await phone.ask("chat.send", content=text, model=text),
                await phone.ask("chat.send", **{text: text}),
            ]
            store.available = False
            told.append(await phone.ask("chat.send", content=text))
        store.available = True
    lines = out.named("frame_refused")
    assert [(line["code"], line["detail"]) for line in lines] == [(one["code"], one["detail"]) for one in told]
    assert [line["code"] for line in lines] == [
        "not_found", "model_not_allowed", "invalid_request", "store_unavailable",
    ]  # fmt: skip
    assert [line.get("frame") for line in lines] == ["run.cancel", "chat.send", None, "chat.send"]
    assert all(line["user_id"] and line["request_id"] for line in lines)
    assert canaries.found_in(out.text) == []
