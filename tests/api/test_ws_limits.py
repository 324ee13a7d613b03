"""Clients that send too much, read too little, or are not there any more."""

import asyncio
import socket
import time
from typing import Any

import httpx
from websockets.asyncio.client import connect

from chatorch.entrypoints.common.websocket.wire import WireProtocol
from tests.support.api import Api, Apis
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.raw_ws import RawDevice, text
from tests.support.sizes import size
from tests.support.ws import Device, served, token_of


async def test_a_flood_is_refused_then_closed_after_an_exact_count(api: Api, alice: httpx.AsyncClient):
    async with served(api) as door:
        phone = await door.connect(token=token_of(alice))
        for number in range(130):
            await phone.send("ping", id=str(number))
        assert await phone.close_code() == 4429
    pongs = [frame["id"] for frame in phone.frames if frame["type"] == "pong"]
    errors = [frame for frame in phone.frames if frame["type"] == "error"]
    assert pongs == [str(number) for number in range(100)]
    assert [error["code"] for error in errors] == ["flooding"] * 20
    assert len(phone.frames) == 120


async def test_a_refused_frame_is_not_carried_out(apis: Apis):
    api = await apis.start(ws_flood_limit=2)
    async with served(api) as door:
        phone = await door.connect(token=token_of(await api.user("alice")))
        for _ in range(2):
            assert (await phone.ask("ping"))["type"] == "pong"
        await phone.send("chat.send", id="m", content="Hi")
        assert (await phone.until_type("error"))["code"] == "flooding"
    assert api.model.calls == []


# -- who does not read -------------------------------------------------------------------------------------------------


async def small_reader(port: int, token: str) -> Device:
    """A client whose kernel takes little, and whose library reads no further than it is asked."""
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plug.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
    url = f"ws://127.0.0.1:{port}/ws/chat/slow"
    headers = {"Authorization": f"Bearer {token}"}
    options = {"additional_headers": headers, "max_queue": 1, "ping_interval": None, "proxy": None}
    return Device(await connect(url, sock=plug, **options))


async def test_who_does_not_read_is_closed_once_so_much_is_queued_and_told_why_when_it_reads(api: Api):
    root = await api.user("root", admin=True)
    with logged() as out:
        async with served(api) as door:
            slow = await small_reader(door.port, token_of(root))
            quick = await door.connect("quick", token_of(root))
            sent = 0
            while not out.named("websocket"):
                answer = await root.post("/api/broadcast", json={"text": "😀" * 4000})
                assert answer.status_code == 200
                await quick.until_type("announcement")
                sent += 1
                assert sent < 2000
            assert await slow.close_code() == 4408
            assert "run.follow from the last seq" in str(slow.connection.close_reason)
            await slow.connection.close()
            got = sum(1 for frame in slow.frames if frame["type"] == "announcement")
            assert sent * 16_000 - got * 16_000 > 1_000_000  # what was queued is forgotten
            assert (await quick.ask("ping"))["type"] == "pong"
    assert out.named("websocket")[0]["code"] == 4408


class Impatient(WireProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = 0.2


async def test_who_never_reads_again_is_cut_off(apis: Apis):
    api = await apis.start(ws_queue_bytes=10_000)
    root = await api.user("root", admin=True)
    async with served(api, ws=Impatient) as door, RawDevice.connecting(door.port, token_of(root), takes=4096) as slow:

        async def is_out() -> bool:
            await root.post("/api/broadcast", json={"text": "😀" * 4000})
            return await api.container.presence().count() == 0

        async def is_cut_off() -> bool:
            return slow.reset

        await eventually(is_out)
        await eventually(is_cut_off)


# -- who is not there --------------------------------------------------------------------------------------------------


async def test_a_peer_that_answers_no_ping_is_closed(api: Api, alice: httpx.AsyncClient):
    """As one whose cable is out: nothing comes any more, and nothing says so. With the real 20 s it is out in 41."""
    ping_s = 1.0  # in less, a busy machine keeps the one that is awake from answering
    with logged() as out:
        async with served(api, ping_s=ping_s) as door:
            began_at = time.monotonic()
            awake = await door.connect("awake", token_of(alice), max_queue=None)  # else it reads no ping behind so much
            silent = [await RawDevice.connect(door.port, token_of(alice), f"raw{n}") for n in range(size(5, 19))]
            assert {await device.ended() for device in silent} == {1011}
            assert 2 * ping_s <= time.monotonic() - began_at < 2 * ping_s + 2
            for _ in silent:
                await awake.until(lambda frame: frame.get("status") == "left")
            for device in silent:
                device.leave()
    assert [line["code"] for line in out.named("websocket")].count(1011) == len(silent)


async def test_a_peer_that_is_gone_with_unread_bytes_is_closed_as_soon(api: Api):
    root = await api.user("root", admin=True)
    async with (
        served(api, ping_s=0.3, kernel_bytes=4096) as door,
        RawDevice.connecting(door.port, token_of(root), takes=4096) as slow,
    ):
        for _ in range(60):  # more than the kernel takes, and less than is too much
            await root.post("/api/broadcast", json={"text": "😀" * 4000})

        async def is_out() -> bool:
            return await api.container.presence().count() == 0

        async def is_cut_off() -> bool:
            return slow.reset

        await eventually(is_out, within=2)
        await eventually(is_cut_off, within=2)


async def test_who_leaves_while_a_request_is_under_way_is_no_fault(api: Api, alice: httpx.AsyncClient):
    with logged() as out:
        async with served(api) as door:
            for number in range(size(20, 500)):
                device = await RawDevice.connect(door.port, token_of(alice), f"raw{number}")
                kinds = ('"chat.send","content":"Hi","thread_id":"thr_none"', '"run.follow","run_id":"run_none"')
                device.send(*(text(f'{{"id":"{number}","type":{kind}}}') for kind in kinds))
                device.leave()

            async def all_out() -> bool:
                return await api.container.presence().count() == 0

            await eventually(all_out)
    assert [line for line in out.lines if line["level"] in {"error", "warning"}] == []


# -- who has too many --------------------------------------------------------------------------------------------------


async def test_one_connection_too_many_of_a_user_is_closed_and_told_why_and_disturbs_nobody(apis: Apis):
    api = await apis.start(max_connections_per_user=2)
    alice, bob = token_of(await api.user("alice")), token_of(await api.user("bob"))
    async with served(api) as door:
        phone = await door.connect("phone", alice)
        tablet = await door.connect("tablet", alice)
        assert (await phone.receive())["client_id"] == "tablet"
        for _ in range(3):
            laptop = await door.connect("laptop", alice)
            assert await laptop.close_code() == 4429
            assert laptop.connection.close_reason.startswith("too many connections of this user")
        others = await door.connect("laptop", bob)
        await others.ask("ping")
        again = await door.connect("phone", alice)
        await again.ask("ping")
        assert await phone.close_code() == 4409
        await tablet.nothing_more()
        await tablet.connection.close()
        assert (await again.receive())["status"] == "left"
        laptop = await door.connect("laptop", alice)
        await laptop.ask("ping")
        assert await again.receive() == {"type": "presence", "client_id": "laptop", "status": "joined"}
