"""How answers are framed and when connections end: for HTTP/1.0, and where the answer comes before the whole body."""

import asyncio
import contextlib
import json
from contextlib import suppress

import httpx
import pytest

from chatorch.entrypoints.common.connection import HttpConnection
from tests.support.api import Api, Apis, said
from tests.support.fakes import Pause
from tests.support.raw_http import JSON, Line, chunked, dialled, head
from tests.support.ws import Door, served, token_of

CHAT = "/api/chat/protected"
MIB = 2**20


def request(
    method: str, path: str, body: bytes = b"", *lines: tuple[str, str], version: str = "1.1", token: str = ""
) -> bytes:
    signed = (("Authorization", f"Bearer {token}"),) if token else ()
    length = (("Content-Length", str(len(body))), *JSON.items()) if body else ()
    return head(method, path, *signed, *length, *lines, version=version) + body


def chat(stream: bool = False) -> bytes:
    return json.dumps(said(stream=stream)).encode()


# -- HTTP/1.0 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [[], [("Connection", "keep-alive")], [("Connection", "close")], [("TE", "chunked")]])
@pytest.mark.parametrize("path", [CHAT, "/chatkit"])
async def test_events_for_http_1_0_end_with_the_connection(
    api: Api, door: Door, alice: httpx.AsyncClient, path: str, lines: list[tuple[str, str]]
) -> None:
    api.model.then("so ", "it ", "goes")
    asked = {
        "type": "threads.create",
        "params": {
            "input": {
                "content": [{"type": "input_text", "text": "Hi"}],
                "attachments": [],
                "inference_options": {},
            }
        },
    }
    body = chat(stream=True) if path == CHAT else json.dumps(asked).encode()
    async with dialled(door.port) as line:
        await line.send(request("POST", path, body, *lines, version="1.0", token=token_of(alice)))
        answer = await line.answer()
    assert (answer.status, answer.framing) == (200, "close")
    assert answer.headers["connection"] == "close"
    assert answer.headers.keys() & {"transfer-encoding", "content-length", "keep-alive"} == set()
    assert answer.body.endswith(b"\n\n")
    assert answer.body.startswith((b"id: ", b"data: "))
    assert (b"event: run.completed" if path == CHAT else b"thread.item.done") in answer.body


async def test_a_run_may_be_followed_by_http_1_0(api: Api, door: Door, alice: httpx.AsyncClient) -> None:
    run_id = (await alice.post(CHAT, json=said())).json()["run_id"]
    async with dialled(door.port) as line:
        await line.send(request("GET", f"/api/runs/{run_id}/events", version="1.0", token=token_of(alice)))
        answer = await line.answer()
    assert answer.framing == "close"
    assert answer.body == (await alice.get(f"/api/runs/{run_id}/events")).content


@pytest.mark.parametrize("lines", [[], [("Connection", "keep-alive")], [("Connection", "Keep-Alive, Upgrade")]])
@pytest.mark.parametrize("asked", ["json", "problem", "no content", "head", "expect"])
async def test_other_answers_to_http_1_0_keep_their_length_and_end_too(
    door: Door, alice: httpx.AsyncClient, asked: str, lines: list[tuple[str, str]]
) -> None:
    token, method, status = token_of(alice), "GET", 200
    match asked:
        case "json":
            sent = request("POST", CHAT, chat(), *lines, version="1.0", token=token)
        case "problem":
            sent, status = request("GET", "/nowhere", b"", *lines, version="1.0"), 404
        case "no content":
            run_id = (await alice.post(CHAT, json=said())).json()["run_id"]
            sent, status = (
                request("GET", f"/api/runs/{run_id}/events?after={2**63 - 1}", b"", *lines, version="1.0", token=token),
                204,
            )
        case "head":
            sent, method, status = head("HEAD", "/health", *lines, version="1.0"), "HEAD", 200
        case _:
            sent = request("POST", CHAT, chat(), ("Expect", "100-continue"), *lines, version="1.0", token=token)
    async with dialled(door.port) as line:
        await line.send(sent)
        answer = await line.answer(to=method)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.framing in {"length", "none"}
        assert "transfer-encoding" not in answer.headers
        assert await line.ended()


async def test_http_1_1_goes_on_in_chunks_and_keeps_its_connection(api: Api, door: Door, alice: httpx.AsyncClient):
    async with dialled(door.port) as line:
        for _ in range(2):
            await line.send(request("POST", CHAT, chat(stream=True), token=token_of(alice)))
            answer = await line.answer()
            assert (answer.framing, answer.headers.get("connection")) == ("chunked", None)


async def test_a_stream_that_breaks_off_ends_for_http_1_0_too(api: Api, door: Door, alice: httpx.AsyncClient) -> None:
    api.model.then("half", RuntimeError("gone"))
    async with dialled(door.port) as line:
        await line.send(request("POST", CHAT, chat(stream=True), version="1.0", token=token_of(alice)))
        assert b"event: run.failed" in (await line.answer()).body


# -- answers that come before the body ---------------------------------------------------------------------------------


class Early:
    """A request whose body is too large or not wanted, and the problem that it gets at once."""

    def __init__(self, status: int, code: str, method: str, path: str, *lines: tuple[str, str], closes: bool = False):
        self.status, self.code, self.method, self.path, self.lines = status, code, method, path, lines

    def head(self, size: int, *lines: tuple[str, str], version: str = "1.1") -> bytes:
        framed = ("Transfer-Encoding", "chunked") if size < 0 else ("Content-Length", str(size))
        return head(self.method, self.path, framed, *self.lines, *lines, version=version)


FORM = ("Content-Type", "application/x-www-form-urlencoded")
EARLY = {
    "chat": Early(413, "content_too_large", "POST", CHAT, *JSON.items()),
    "guest": Early(413, "content_too_large", "POST", "/api/chat", *JSON.items()),
    "token": Early(413, "content_too_large", "POST", "/token", FORM),
    "chatkit": Early(413, "content_too_large", "POST", "/chatkit", *JSON.items()),
    "patch": Early(413, "content_too_large", "PATCH", "/api/threads/x", *JSON.items()),
}
BELOW_THE_CAP = {
    "nowhere": Early(404, "not_found", "POST", "/nowhere"),
    "method": Early(405, "method_not_allowed", "PUT", "/health"),
    "socket": Early(405, "method_not_allowed", "POST", "/ws/chat/x"),
    "query": Early(422, "invalid_request", "POST", "/api/chat?x=%00", *JSON.items()),
    "unsigned": Early(401, "not_authenticated", "DELETE", "/api/threads/x"),
}


async def sends_all_then_reads(line: Line, early: Early, size: int, *lines: tuple[str, str], version: str = "1.1"):
    await line.send(
        early.head(size, *lines, version=version), *[b"x" * 65_536] * (size // 65_536), b"x" * (size % 65_536)
    )
    return await line.answer()


@pytest.mark.parametrize(
    ("size", "early"),
    [(MIB + 1, early) for early in EARLY.values()] + [(8 * MIB, EARLY["token"]), (40 * MIB, EARLY["chat"])],
)
async def test_who_reads_only_when_all_is_sent_sees_why_it_was_too_much(door: Door, early: Early, size: int) -> None:
    async with dialled(door.port) as line:
        answer = await sends_all_then_reads(line, early, size)
        answer.problem(early.status, early.code)
        assert answer.headers["connection"] == "close"
        assert await line.ended(), "closed, and not reset"


@pytest.mark.parametrize("early", EARLY.values(), ids=EARLY.keys())
async def test_a_body_in_chunks_is_no_other(door: Door, early: Early) -> None:
    async with dialled(door.port) as line:
        await line.send(early.head(-1), chunked(b"x" * 4 * MIB, 65_536))
        (await line.answer()).problem(early.status, early.code)
        assert await line.ended()


@pytest.mark.parametrize("early", BELOW_THE_CAP.values(), ids=BELOW_THE_CAP.keys())
@pytest.mark.parametrize("ending", [(), (("Connection", "close"),), "1.0"])
async def test_any_answer_that_leaves_the_body_unread_is_seen(
    apis: Apis, early: Early, ending: str | tuple[tuple[str, str], ...]
) -> None:
    version, lines = ("1.0", ()) if ending == "1.0" else ("1.1", ending)
    async with served(await apis.start(body_cap_bytes=64 * MIB)) as door, dialled(door.port) as line:
        answer = await sends_all_then_reads(line, early, 8 * MIB, *lines, version=version)
        answer.problem(early.status, early.code)
        if ending:
            assert answer.headers["connection"] == "close"
            assert await line.ended()
        else:
            assert "connection" not in answer.headers
            await line.send(head("GET", "/health"))
            assert (await line.answer()).status == 200, "the connection goes on behind the body"


async def test_the_answer_does_not_wait_for_the_body(door: Door) -> None:
    async with dialled(door.port) as line:
        await line.send(EARLY["chat"].head(99 * MIB))
        assert (await line.answer()).status == 413
    async with dialled(door.port) as line:
        await line.send(BELOW_THE_CAP["nowhere"].head(1000))
        assert (await line.answer()).status == 404
        await line.send(b"x" * 999, b"x" + head("GET", "/health"))
        assert (await line.answer()).status == 200


@pytest.mark.parametrize("size", [1000, 8 * MIB])
async def test_who_asks_first_and_is_refused_sends_nothing_and_is_closed_on(door: Door, size: int) -> None:
    """Whether the body comes all the same nobody can know: so nothing else is read on this connection."""
    early = BELOW_THE_CAP["method"] if size < MIB else EARLY["chat"]
    async with dialled(door.port) as line:
        await line.send(early.head(size, ("Expect", "100-continue")))
        answer = await line.answer()
        answer.problem(early.status, early.code)
        assert answer.headers["connection"] == "close"
        await line.send(b"x" * size)
        assert await line.ended()


async def test_who_asks_first_and_may_is_told_to_go_on(door: Door, alice: httpx.AsyncClient) -> None:
    async with dialled(door.port) as line:
        asked = request("POST", CHAT, chat(), ("Expect", "100-continue"), token=token_of(alice))
        await line.send(asked.removesuffix(chat()))
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await line.send(chat())
        answer = await line.answer()
        assert (answer.status, answer.headers.get("connection")) == (200, None)


async def test_what_follows_a_refused_body_on_its_connection_is_not_begun(api: Api, door: Door, alice) -> None:
    early = EARLY["chat"].head(2 * MIB)
    async with dialled(door.port) as line:
        await line.send(early, b"x" * 2 * MIB + request("POST", CHAT, chat(), token=token_of(alice)))
        (await line.answer()).problem(413, "content_too_large")
        with suppress(ConnectionResetError):  # what still comes behind a whole answer may be reset (RFC 9112, 9.6)
            assert await line.ended()
    assert api.model.calls == []


async def test_a_broken_rest_gets_no_second_answer(door: Door) -> None:
    async with dialled(door.port) as line:
        await line.send(BELOW_THE_CAP["nowhere"].head(-1), b"5\r\nhello\r\n")
        (await line.answer()).problem(404, "not_found")
        await line.send(b"nonsense\r\n")
        assert await line.ended()


async def test_a_request_that_follows_a_dropped_body_has_all_the_time_it_needs(api: Api, alice) -> None:
    pause = Pause()
    api.model.then(pause)
    async with served(api, timeout_keep_alive=0.05) as door, dialled(door.port) as line:
        await line.send(BELOW_THE_CAP["nowhere"].head(1000))
        assert (await line.answer()).status == 404
        await line.send(b"x" * 1000 + request("POST", CHAT, chat(), token=token_of(alice)))
        await pause.reached()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await line.reader.read()
        pause.go_on()
        assert (await line.answer()).status == 200
        assert await line.ended(), "only when idle"


async def test_a_connection_that_is_idle_behind_a_dropped_body_is_closed(api: Api) -> None:
    async with served(api, timeout_keep_alive=0.05) as door, dialled(door.port) as line:
        await line.send(BELOW_THE_CAP["nowhere"].head(1000), b"x" * 1000)
        assert (await line.answer()).status == 404
        assert await line.ended()


class Impatient(HttpConnection):
    """Reads on less than the real one."""

    drop_bytes = 3 * MIB


class Curt(HttpConnection):
    drop_silence_s = 0.05


class Hurried(HttpConnection):
    drop_s = 0.2


@pytest.mark.parametrize(("protocol", "size"), [(Impatient, 4 * MIB), (Curt, 100), (Hurried, 4 * MIB)])
async def test_there_is_a_bound_to_what_is_read_on(api: Api, protocol: type[HttpConnection], size: int) -> None:
    """By bytes, by silence, by time."""
    async with served(api, http=protocol) as door, dialled(door.port) as line, asyncio.timeout(5):
        await line.send(EARLY["chat"].head(60 * MIB))
        (await line.answer()).problem(413, "content_too_large")
        with contextlib.suppress(ConnectionError):
            await line.send(*[b"x" * 4096] * (size // 4096))
            while protocol is Hurried and not line.reader.at_eof():
                await line.send(b"x")
            await line.ended()
        assert line.reader.at_eof() or line.reader.exception()


async def test_who_never_sends_the_rest_is_closed_on_and_not_reset(api: Api) -> None:
    async with served(api, http=Curt) as door, dialled(door.port) as line:
        await line.send(BELOW_THE_CAP["nowhere"].head(1000), b"x" * 10)
        (await line.answer()).problem(404, "not_found")
        assert await line.ended()


async def test_the_bounds_leave_a_telephone_time_to_send_a_photograph() -> None:
    assert HttpConnection.drop_bytes >= 32 * MIB
    assert HttpConnection.drop_s >= 20 > HttpConnection.drop_silence_s >= 2
