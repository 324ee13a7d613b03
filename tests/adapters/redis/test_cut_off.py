"""One process alone loses Redis, and comes back: who is connected, and what was said meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import Announcement, ClientId, Device, PresenceChanged, PresenceStatus, RunBegan
from chatorch.domain.model.run import RunStarted
from tests.support.eventually import eventually
from tests.support.fakes import START
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess, fresh_prefix
from tests.support.redis_server import RedisServer
from tests.support.wire import Wire, wire_to

ANN = UserId("usr_ann")
PHONE, TABLET, LAPTOP = (Device(ANN, ClientId(name)) for name in ("phone", "tablet", "laptop"))
BEGAN = RunBegan(RunId("run_1"), RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model"))
NEWS = Announcement("news", START)
CLEARLY_S = 0.02
"""Connections are compared by the millisecond."""


def joined(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.JOINED)


def left(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.LEFT)


async def counted(process: RedisProcess, number: int) -> None:
    async def look() -> bool:
        return await process.connections.count() == number

    await eventually(look)


@pytest.fixture
async def wire(own_redis: RedisServer) -> AsyncIterator[Wire]:
    async with wire_to(own_redis.port) as wire:
        yield wire


@pytest.fixture
async def one_on_a_wire(own_redis: RedisServer, wire: Wire) -> AsyncIterator[tuple[RedisProcess, RedisProcess]]:
    """Two processes; the wire is the first one's."""
    url = own_redis.url.replace(str(own_redis.port), str(wire.port))
    prefix = fresh_prefix()
    cut_off, other = (RedisProcess(u, prefix, life_s=0.6, renew_s=0.15, settled_s=0.3) for u in (url, own_redis.url))
    await cut_off.start()
    await other.start()
    yield cut_off, other
    await cut_off.aclose()
    await other.aclose()


async def test_a_connection_begun_while_cut_off_does_not_take_the_place_of_a_newer_one(
    wire: Wire, one_on_a_wire: tuple[RedisProcess, RedisProcess]
):
    cut_off, other = one_on_a_wire
    older, newer, oldest = KeptMailbox(), KeptMailbox(), KeptMailbox()
    cut_off.connections.attach(TABLET, oldest)
    await counted(other, 1)
    wire.cut()
    await cut_off.until(up=False)
    cut_off.connections.attach(PHONE, older)
    await asyncio.sleep(CLEARLY_S)
    other.connections.attach(PHONE, newer)
    other.connections.attach(TABLET, KeptMailbox())
    await counted(other, 2)
    wire.mend()

    await older.until_replaced()
    await oldest.until_replaced()
    other.connections.send(ANN, BEGAN)
    await newer.until(*newer.events[:-1], BEGAN)
    assert not newer.was_replaced


async def test_a_connection_begun_while_cut_off_takes_the_place_of_an_older_one(
    wire: Wire, one_on_a_wire: tuple[RedisProcess, RedisProcess]
):
    cut_off, other = one_on_a_wire
    older, newer = KeptMailbox(), KeptMailbox()
    other.connections.attach(PHONE, older)
    await counted(other, 1)
    wire.cut()
    await cut_off.until(up=False)
    await asyncio.sleep(CLEARLY_S)
    cut_off.connections.attach(PHONE, newer)
    wire.mend()

    await older.until_replaced()
    assert not newer.was_replaced


async def test_who_was_cut_off_for_long_left_and_joins_again(
    wire: Wire, one_on_a_wire: tuple[RedisProcess, RedisProcess]
):
    cut_off, other = one_on_a_wire
    phone, tablet = KeptMailbox(), KeptMailbox()
    cut_off.connections.attach(PHONE, phone)
    await counted(other, 1)
    other.connections.attach(TABLET, tablet)
    await phone.until(joined(TABLET))
    wire.cut()
    await tablet.until(left(PHONE))
    wire.mend()

    await tablet.until(left(PHONE), joined(PHONE))
    assert phone.events == [joined(TABLET)]


async def test_what_happened_elsewhere_while_cut_off_is_told_on_return(
    wire: Wire, one_on_a_wire: tuple[RedisProcess, RedisProcess]
):
    cut_off, other = one_on_a_wire
    phone, tablet, late = KeptMailbox(), KeptMailbox(), KeptMailbox()
    cut_off.connections.attach(PHONE, phone)
    await counted(other, 1)
    other.connections.attach(TABLET, tablet)
    await phone.until(joined(TABLET))
    wire.cut()
    await cut_off.until(up=False)
    other.connections.detach(TABLET, tablet)
    other.connections.send(ANN, BEGAN)
    await other.connections.broadcast(NEWS)
    await asyncio.sleep(CLEARLY_S)
    cut_off.connections.attach(LAPTOP, late)
    wire.mend()

    await phone.until(joined(TABLET), joined(LAPTOP), NEWS, BEGAN, left(TABLET))
    await late.until(left(TABLET))


async def test_a_run_begun_while_cut_off_is_told_to_the_others_once_on_return(
    wire: Wire, one_on_a_wire: tuple[RedisProcess, RedisProcess]
):
    cut_off, other = one_on_a_wire
    phone = KeptMailbox()
    other.connections.attach(PHONE, phone)
    await counted(other, 1)
    wire.cut()
    await cut_off.until(up=False)
    cut_off.connections.send(ANN, BEGAN)
    wire.mend()
    await cut_off.until(up=True)
    await phone.until(BEGAN)
    cut_off.connections.send(ANN, BEGAN)

    await phone.until(BEGAN, BEGAN)
