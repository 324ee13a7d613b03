"""Who is connected, when a process dies or Redis goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import Unavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import Announcement, ClientId, Device, PresenceChanged, PresenceStatus, RunBegan
from chatorch.domain.model.run import RunStarted
from tests.support.eventually import eventually
from tests.support.fakes import START
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess, fresh_prefix, processes
from tests.support.redis_server import RedisServer

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


def joined(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.JOINED)


def left(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.LEFT)


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
    expected = [PresenceChanged(PHONE.client_id, status) for status in (PresenceStatus.JOINED, PresenceStatus.LEFT)]

    async def heard(what: list[PresenceChanged]) -> bool:
        about_phone = [[n for n in mailbox.events if n.client_id == PHONE.client_id] for mailbox in mailboxes]
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
    known = list(phone.events), list(tablet.events)
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
        return joined(PHONE) in far.events or joined(Device(ANN, ClientId("far"))) in phone.events

    await eventually(heard)
    assert phone.events.count(joined(TABLET)) == phone.events.count(left(TABLET)) == 1
    assert joined(TABLET) not in far.events


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
        return {event.run_id for event in phone.events} == {"run_1", "run_2"}

    await eventually(both)
    assert len(phone.events) == 2


async def test_a_process_that_slept_before_it_told_of_a_connection_does_not_displace_a_newer_one(
    two: list[RedisProcess],
):
    asleep, other = two
    older, newer = KeptMailbox(), KeptMailbox()
    awake = asyncio.Event()
    await asleep.link._pipeline.sent()
    asleep.link._pipeline._until_up = awake.wait
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
            return all(left(PHONE) in mailbox.events for mailbox in mailboxes)

        await eventually(all_told, within=2.5)
