"""Too many connections: who goes, who is told what, and who is served all the same."""

from contextlib import AsyncExitStack

import httpx
from prometheus_client import CollectorRegistry

from chatorch.entrypoints.common.connection.caps import GRACE_S, Caps
from chatorch.entrypoints.metrics.metrics import Metrics
from tests.support.api import Api
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.plumbed_app import plumbed_app, serving
from tests.support.raw_http import Line, dialled, head
from tests.support.raw_ws import RawDevice
from tests.support.ws import served, token_of

LIST = head("GET", "/api/list")
HALF = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"


async def busy(stack: AsyncExitStack, port: int, count: int, of: str = "127.0.0.1") -> list[Line]:
    """Connections with a request under way."""
    lines = [await stack.enter_async_context(dialled(port, of)) for _ in range(count)]
    for line in lines:
        await line.send(HALF)
    return lines


async def test_the_idle_go_first_and_the_busy_stay() -> None:
    async with serving(plumbed_app(), caps=Caps(connections=4)) as (_, port), AsyncExitStack() as stack:
        idle = await stack.enter_async_context(dialled(port))
        await idle.send(LIST)
        assert (await idle.answer()).status == 200
        [first, *_] = await busy(stack, port, 3)
        async with dialled(port) as other:
            await other.send(LIST)
            assert (await other.answer()).status == 200
        assert await idle.ended()
        await first.send(b" " * 8)
        assert (await first.answer()).status == 422, "still there"


async def test_who_finds_no_room_is_told_so_and_health_answers() -> None:
    metrics = Metrics(CollectorRegistry())
    with logged() as out:
        async with serving(plumbed_app(metrics), caps=Caps(connections=4)) as (_, port), AsyncExitStack() as stack:
            await busy(stack, port, 4)
            for _ in range(30):
                async with dialled(port) as line:
                    await line.send(LIST)
                    answer = await line.answer()
                    answer.problem(503, "too_many_connections")
                    assert int(answer.headers["retry-after"]) > 0
                    assert answer.headers["connection"] == "close"
            async with dialled(port) as line:
                await line.send(head("GET", "/health"))
                answer = await line.answer()
                assert (answer.status, answer.headers["connection"]) == (404, "close"), "it has come to the routes"
    [said] = out.named("connections_refused")
    assert (said["reason"], said["most"]) == ("all", 4)
    assert 'refused_total{reason="all"} 31.0' in metrics.as_text().decode()


async def test_one_address_cannot_take_all() -> None:
    caps = Caps(connections=8, an_address=2, uncapped=lambda address: address == "127.0.0.3")
    async with serving(plumbed_app(), caps=caps) as (_, port), AsyncExitStack() as stack:
        await busy(stack, port, 2, "127.0.0.2")
        for of, status in (("127.0.0.2", 503), ("127.0.0.4", 200)):
            async with dialled(port, of) as line:
                await line.send(LIST)
                assert (await line.answer()).status == status
        await busy(stack, port, 4, "127.0.0.3")
        async with dialled(port, "127.0.0.3") as line:
            await line.send(LIST)
            assert (await line.answer()).status == 200, "a proxy is everybody"


async def test_places_are_given_back() -> None:
    async with serving(plumbed_app(), caps=Caps(connections=2, an_address=2)) as (_, port):
        for _ in range(20):
            async with dialled(port) as line:
                await line.send(head("GET", "/api/list", ("Connection", "close")))
                assert (await line.answer()).status == 200
                assert await line.ended()


async def test_a_socket_keeps_its_place_once_it_is_known_whose_it_is(api: Api, alice: httpx.AsyncClient) -> None:
    async with served(api, caps=Caps(connections=3)) as door, AsyncExitStack() as stack:
        known = await door.connect("known", token_of(alice))
        later = await door.connect("later")
        assert (await later.ask("auth", token=token_of(alice)))["type"] == "ack"
        nobody = await stack.enter_async_context(RawDevice.connecting(door.port, ""))

        async def let_in() -> bool:
            async with dialled(door.port) as line:
                await line.send(head("GET", "/api/me"))
                return (await line.answer()).status == 401

        await eventually(let_in, within=GRACE_S + 4)
        assert await nobody.reader.read() == b"", "closed, without a word: there is none for who has said none"
        for device in (known, later):
            assert (await device.ask("ping"))["type"] == "pong"
