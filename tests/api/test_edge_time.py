"""How long a client is waited for, with times that a test can wait; what is never cut short; and in what order."""

import asyncio

import httpx
import pytest

from chatorch.entrypoints.common.connection import HttpConnection
from tests.support.api import Api, said
from tests.support.fakes import Pause
from tests.support.logged import logged
from tests.support.plumbed_app import plumbed_app, serving
from tests.support.raw_http import JSON, dialled, head
from tests.support.ws import served, token_of

HEALTH = head("GET", "/health")
CHAT = "/api/chat/protected"


class Quick(HttpConnection):
    head_s = 0.15
    body_s = 0.3
    body_least = 1000


def post(length: int, *lines: tuple[str, str]) -> bytes:
    return head("POST", "/api/chat", ("Content-Length", str(length)), *JSON.items(), *lines)


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost:", HEALTH[:-1], b"\r\n", HEALTH[:-2] + b"A: b\r\n"])
@pytest.mark.parametrize("before", [b"", head("GET", "/api/list")])
async def test_half_a_head_is_told_that_it_is_late(before: bytes, begun: bytes) -> None:
    with logged() as out:
        async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line:
            if before:
                await line.send(before)
                assert (await line.answer()).status == 200
            await line.send(begun)
            answer = await line.answer()
            answer.problem(408, "request_timeout")
            assert answer.headers["connection"] == "close"
            assert await line.ended()
    assert out.named("request")[-1]["status"] == 408


async def test_one_byte_at_a_time_gains_nothing() -> None:
    async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line, asyncio.timeout(5):
        answer = asyncio.ensure_future(line.answer())
        for byte in b"GET /api/list HTTP/1.1\r\nX: " + b"a" * 100_000:
            await line.send(bytes([byte]))
            if answer.done():
                break
        (await answer).problem(408, "request_timeout")


async def test_who_says_nothing_is_closed_on() -> None:
    async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line:
        assert await line.ended()


async def test_who_has_asked_once_may_be_idle_for_longer() -> None:
    async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line:
        await line.send(head("GET", "/api/list"))
        assert (await line.answer()).status == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * Quick.head_s):
                await line.reader.read(1)
        await line.send(head("GET", "/api/list"))
        assert (await line.answer()).status == 200


@pytest.mark.parametrize("sent", [b"", b"{", b"{" + b" " * 2000])
async def test_half_a_body_is_told_that_it_is_late(sent: bytes) -> None:
    async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line:
        await line.send(post(5000), sent)
        (await line.answer()).problem(408, "request_timeout")
        assert await line.ended()


async def test_a_slow_body_that_goes_on_is_waited_for_and_one_that_drips_is_not() -> None:
    body = b'{"messages": [{"role": "user", "content": "Hi"}]}' + b" " * 4000
    for step, status in ((250, 200), (10, 408)):
        async with serving(plumbed_app(), Quick) as (_, port), dialled(port) as line:
            answer = asyncio.ensure_future(line.answer())
            line.writer.write(post(len(body)))
            for start in range(0, len(body), step):
                line.writer.write(body[start : start + step])
                if (await asyncio.wait([answer], timeout=Quick.body_s / 10))[0]:
                    break
            assert (await answer).status == status


async def test_who_asks_first_is_not_late_while_nobody_has_answered(api: Api, alice: httpx.AsyncClient) -> None:
    async with served(api, http=Quick) as door, dialled(door.port) as line:
        body = post(10, ("Expect", "100-continue"))
        await line.send(body)
        assert (await line.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        (await line.answer()).problem(408, "request_timeout")


async def test_a_stream_goes_on_however_long_and_whatever_follows_waits_for_its_end(api: Api, alice) -> None:
    pause = Pause()
    api.model.then("so ", pause, "it goes")
    body = said(stream=True)
    async with served(api, http=Quick) as door, dialled(door.port) as line:
        sent = httpx.Request("POST", "http://x", json=body).content
        signed = ("Authorization", f"Bearer {token_of(alice)}")
        await line.send(
            head("POST", CHAT, signed, ("Content-Length", str(len(sent))), *JSON.items()) + sent,
            b"GET / nonsense\r\n\r\n",
        )
        await pause.reached()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * Quick.body_s):
                await line.reader.readuntil(b"completed")
        pause.go_on()
        assert b"event: run.completed" in (await line.answer()).body, "whole, and not interrupted by the refusal"
        (await line.answer()).problem(400, "bad_request")
        assert await line.ended()


async def test_requests_at_once_are_answered_in_their_order() -> None:
    async with serving(plumbed_app()) as (_, port), dialled(port) as line:
        line.writer.write(b"".join(head("GET", f"/api/list?limit={number}") for number in range(1, 101)))
        assert [(await line.answer()).json["limit"] for _ in range(100)] == list(range(1, 101))


async def test_bodies_at_once_too() -> None:
    body = b'{"messages": [{"role": "user", "content": "Hi"}]}'
    async with serving(plumbed_app()) as (_, port), dialled(port) as line:
        line.writer.write((post(len(body)) + body) * 30 + head("GET", "/api/list"))
        assert [(await line.answer()).json for _ in range(30)] == [{"messages": 1}] * 30
        assert (await line.answer()).status == 200


async def test_what_is_refused_in_a_body_is_one_request_in_the_log() -> None:
    with logged() as out:
        async with serving(plumbed_app()) as (_, port), dialled(port) as line:
            await line.send(head("POST", "/api/chat", ("Transfer-Encoding", "chunked"), *JSON.items()), b"nonsense\r\n")
            (await line.answer()).problem(400, "bad_request")
            assert await line.ended()
    assert [(line["route"], line["status"]) for line in out.named("request")] == [("/api/chat", 400)]
