"""Who is connected, when a process dies or Redis goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import Unavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.live import Announcement, ClientId, Device, Presence, PresenceChanged, RunBegan
from chatorch.domain.model.run import RunStarted
from tests.support.eventually import eventually
from tests.support.fakes import START
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess, fresh_prefix, processes
from tests.support.redis_server import RedisServer
from tests.support.wire import Wire, wire_to

ANN = UserId("usr_ann")
PHONE, TABLET, LAPTOP = (Device(ANN, ClientId(name)) for name in ("phone", "tablet", "laptop"))
BEGAN = RunBegan(RunId("run_1"), RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model"))
NEWS = Announcement("news", START)
CLEARLY_S = 0.02
"""Connections are compared by the millisecond."""


@pytest.fixture
async def two(own_redis: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    async with processes(own_redis.url) as started:
        yield started


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


def joined(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, Presence.JOINED)


def left(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, Presence.LEFT)


async def counted(process: RedisProcess, number: int) -> None:
    async def look() -> bool:
        return await process.connections.count() == number

    await eventually(look)


async def test_devices_of_a_process_that_dies_leave_by_themselves_and_one_word_is_said_of_each(
    redis_server: RedisServer,
):
    prefix = fresh_prefix()
    dying, *living = (RedisProcess(redis_server.url, prefix, life_s=0.6, renew_s=0.15) for _ in range(3))
    for process in (dying, *living):
        await process.start()
    mailboxes = [KeptMailbox(), KeptMailbox()]
    for number, (process, mailbox) in enumerate(zip(living, mailboxes, strict=True)):
        process.connections.attach(Device(ANN, ClientId(f"living {number}")), mailbox)
        assert await process.link.confirmed(f"{process.link.prefix}user:{ANN}")
    dying.connections.attach(PHONE, KeptMailbox())
    expected = [PresenceChanged(PHONE.client_id, status) for status in (Presence.JOINED, Presence.LEFT)]

    async def heard(what: list[PresenceChanged]) -> bool:
        about_phone = [[n for n in mailbox.notices if n.client_id == PHONE.client_id] for mailbox in mailboxes]
        return about_phone == [what, what]

    await eventually(lambda: heard(expected[:1]))
    await dying.die()
    await eventually(lambda: heard(expected))
    assert await living[0].connections.count() == 2
    for process in living:
        await process.aclose()
    await dying.connections.aclose()
    await dying.log.aclose()


async def test_an_announcement_that_was_refused_is_not_made_when_redis_wakes(
    own_redis: RedisServer, two: list[RedisProcess]
):
    here, elsewhere = two
    phone = KeptMailbox()
    elsewhere.connections.attach(PHONE, phone)
    own_redis.freeze()
    with pytest.raises(Unavailable):
        await here.connections.broadcast(NEWS)
    own_redis.thaw()
    await here.until(up=True)
    await elsewhere.until(up=True)
    later = Announcement("later", START)

    async def made() -> bool:
        try:
            await here.connections.broadcast(later)
        except Unavailable:
            return False
        return True

    await eventually(made)
    await phone.until(later)


async def test_presence_survives_an_outage_without_a_word(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    phone, tablet = KeptMailbox(), KeptMailbox()
    here.connections.attach(PHONE, phone)
    elsewhere.connections.attach(TABLET, tablet)

    async def both() -> bool:
        return [await here.connections.count(), await elsewhere.connections.count()] == [2, 2]

    await eventually(both)
    known = list(phone.notices), list(tablet.notices)
    own_redis.kill()
    await here.until(up=False)
    await elsewhere.until(up=False)
    assert await here.connections.count() == 1
    own_redis.start()
    await here.until(up=True)
    await elsewhere.until(up=True)
    await eventually(both)

    here.connections.send(ANN, BEGAN)
    await phone.until(*known[0], BEGAN)
    await tablet.until(*known[1], BEGAN)


async def test_alone_it_goes_on_alone_and_tells_others_later(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    own_redis.kill()
    await here.until(up=False)
    await elsewhere.until(up=False)
    phone, tablet, far = KeptMailbox(), KeptMailbox(), KeptMailbox()
    here.connections.attach(PHONE, phone)
    here.connections.attach(TABLET, tablet)
    elsewhere.connections.attach(Device(ANN, ClientId("far")), far)
    await phone.until(joined(TABLET))
    here.connections.detach(TABLET, tablet)
    await phone.until(joined(TABLET), left(TABLET))
    own_redis.start()
    await here.until(up=True)
    await elsewhere.until(up=True)

    async def heard() -> bool:
        return joined(PHONE) in far.notices or joined(Device(ANN, ClientId("far"))) in phone.notices

    await eventually(heard)
    assert phone.notices.count(joined(TABLET)) == phone.notices.count(left(TABLET)) == 1
    assert joined(TABLET) not in far.notices


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
    await newer.until(*newer.notices[:-1], BEGAN)
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
    assert phone.notices == [joined(TABLET)]


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


async def test_devices_of_one_that_dies_while_redis_is_away_have_left_when_it_comes_back_empty(own_redis: RedisServer):
    async with processes(own_redis.url, 2, life_s=0.6, renew_s=0.15, settled_s=0.3) as [dying, living]:
        phone, tablet = KeptMailbox(), KeptMailbox()
        living.connections.attach(TABLET, tablet)
        await counted(dying, 1)
        dying.connections.attach(PHONE, phone)
        await tablet.until(joined(PHONE))
        own_redis.kill()
        await living.until(up=False)
        await dying.die()
        own_redis.start()

        await tablet.until(joined(PHONE), left(PHONE))


async def test_what_redis_refuses_for_a_moment_is_told_though_it_is_overtaken(
    own_redis: RedisServer, two: list[RedisProcess]
):
    here, elsewhere = two
    later = RunBegan(RunId("run_2"), BEGAN.started)
    phone = KeptMailbox()
    elsewhere.connections.attach(PHONE, phone)
    await counted(here, 1)
    await here.link.ask(("CONFIG", "SET", "maxmemory", "1"))
    here.connections.send(ANN, BEGAN)
    await elsewhere.link.ask(("PING",))
    await here.link.ask(("CONFIG", "SET", "maxmemory", "0"))
    here.connections.send(ANN, later)

    async def both() -> bool:
        return {notice.run_id for notice in phone.notices} == {"run_1", "run_2"}

    await eventually(both)
    assert len(phone.notices) == 2


async def test_a_process_that_slept_before_it_told_of_a_connection_does_not_displace_a_newer_one(
    two: list[RedisProcess],
):
    asleep, other = two
    older, newer = KeptMailbox(), KeptMailbox()
    awake = asyncio.Event()
    await asleep.link._outbox.sent()
    asleep.link._outbox._until_up = awake.wait
    asleep.connections.attach(PHONE, older)
    other.connections.attach(PHONE, newer)
    await counted(other, 1)
    asleep.connections._here.of(PHONE).since -= 5
    awake.set()

    await older.until_replaced()
    assert not newer.was_replaced


async def test_all_devices_of_a_process_that_dies_leave_in_one_sweep(redis_server: RedisServer):
    count = 450
    async with processes(redis_server.url, 2, life_s=1.0, renew_s=0.3) as [dying, living]:
        mailboxes = []
        for number in range(count):
            user = UserId(f"usr_{number}")
            dying.connections.attach(Device(user, PHONE.client_id), KeptMailbox())
            mailboxes.append(KeptMailbox())
            living.connections.attach(Device(user, TABLET.client_id), mailboxes[-1])
        await counted(living, 2 * count)
        await dying.die()

        async def all_told() -> bool:
            return all(left(PHONE) in mailbox.notices for mailbox in mailboxes)

        await eventually(all_told, within=2.5)
