"""What all connections keep to: in one process, and in two where Redis is between them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from chatorch.adapters.memory.connections import MemoryConnections
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import Announcement, ClientId, Device, PresenceChanged, PresenceStatus, RunBegan
from chatorch.domain.model.run import RunStarted
from chatorch.ports.connections import Connections
from tests.support.eventually import eventually
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import processes

ANN, BOB = UserId("usr_ann"), UserId("usr_bob")
PHONE, TABLET, LAPTOP = (Device(ANN, ClientId(name)) for name in ("phone", "tablet 7 \n ü", "laptop"))
BEGAN = RunBegan(RunId("run_1"), RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model"))
MOST = 6
NEWS = Announcement("news", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))


@pytest.fixture(params=["memory", "redis", "redis, two processes"])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Connections, Connections]]:
    """The same connections, as two processes see them where there are two."""
    if request.param == "memory":
        alone = MemoryConnections(MOST)
        yield alone, alone
        return
    count = 2 if "two" in request.param else 1
    async with processes(request.getfixturevalue("redis_server").url, count, most=MOST) as started:
        yield started[0].connections, started[-1].connections


async def counted(connections: Connections, number: int) -> None:
    async def look() -> bool:
        return await connections.count() == number

    await eventually(look)


def joined(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.JOINED)


def left(device: Device) -> PresenceChanged:
    return PresenceChanged(device.client_id, PresenceStatus.LEFT)


async def attached(two: tuple[Connections, Connections], there: Connections, device: Device) -> KeptMailbox:
    """Returns when both processes know of it."""
    mailbox, before = KeptMailbox(), await there.count()
    there.attach(device, mailbox)
    for connections in two:
        await counted(connections, before + 1)
    return mailbox


async def test_other_devices_of_the_user_hear_who_joins_and_who_leaves(two: tuple[Connections, Connections]):
    one, other = two
    phone = await attached(two, one, PHONE)
    bobs = await attached(two, one, Device(BOB, ClientId("phone")))
    tablet = await attached(two, other, TABLET)
    laptop = await attached(two, one, LAPTOP)
    await phone.until(joined(TABLET), joined(LAPTOP))
    await tablet.until(joined(LAPTOP))

    other.detach(TABLET, tablet)

    await laptop.until(left(TABLET))
    await phone.until(joined(TABLET), joined(LAPTOP), left(TABLET))
    assert tablet.events == [joined(LAPTOP)]
    assert bobs.events == []
    await counted(one, 3)


async def test_devices_that_come_at_once_hear_of_each_other(two: tuple[Connections, Connections]):
    one, other = two
    phone, tablet = KeptMailbox(), KeptMailbox()
    one.attach(PHONE, phone)
    other.attach(TABLET, tablet)

    async def known() -> bool:
        return joined(TABLET) in phone.events or joined(PHONE) in tablet.events

    await eventually(known)
    await counted(one, 2)


async def test_a_newer_connection_of_a_device_takes_its_place_without_a_word(two: tuple[Connections, Connections]):
    one, other = two
    laptop = await attached(two, one, LAPTOP)
    older = await attached(two, one, PHONE)
    await laptop.until(joined(PHONE))
    newer = KeptMailbox()
    other.attach(PHONE, newer)

    await older.until_replaced()
    one.detach(PHONE, older)
    one.send(ANN, BEGAN)
    await newer.until(BEGAN)
    await laptop.until(joined(PHONE), BEGAN)
    assert older.events == []
    assert not newer.was_replaced
    await counted(one, 2)

    other.detach(PHONE, newer)
    await laptop.until(joined(PHONE), BEGAN, left(PHONE))


async def test_a_message_reaches_all_devices_of_the_user_once_but_the_one_it_came_from(
    two: tuple[Connections, Connections],
):
    one, other = two
    phone, tablet = await attached(two, one, PHONE), await attached(two, other, TABLET)
    bobs = await attached(two, other, Device(BOB, ClientId("phone")))
    await phone.until(joined(TABLET))

    one.send(ANN, BEGAN, besides=PHONE.client_id)
    one.send(ANN, NEWS)

    await tablet.until(BEGAN, NEWS)
    await phone.until(joined(TABLET), NEWS)
    assert bobs.events == []


async def test_mailboxes_of_one_process_get_the_same_object(two: tuple[Connections, Connections]):
    one, other = two
    phone, tablet = await attached(two, other, PHONE), await attached(two, other, TABLET)
    await phone.until(joined(TABLET))
    one.send(ANN, BEGAN)
    await tablet.until(BEGAN)
    await one.broadcast(NEWS)

    await phone.until(joined(TABLET), BEGAN, NEWS)
    await tablet.until(BEGAN, NEWS)
    assert phone.events[1] is tablet.events[0]
    assert phone.events[2] is tablet.events[1]


async def test_an_announcement_reaches_everyone_once(two: tuple[Connections, Connections]):
    one, other = two
    mailboxes = [
        await attached(two, two[number % 2], Device(UserId(f"usr_{number % 5}"), ClientId(f"device {number}")))
        for number in range(20)
    ]
    async with asyncio.timeout(5):
        await asyncio.gather(one.broadcast(NEWS), other.broadcast(NEWS))

    async def all_have_both() -> bool:
        return all(mailbox.events.count(NEWS) >= 2 for mailbox in mailboxes)

    await eventually(all_have_both)
    await asyncio.gather(counted(one, 20), counted(other, 20))
    assert [mailbox.events.count(NEWS) for mailbox in mailboxes] == [2] * 20


async def test_to_detach_what_is_not_attached_is_nothing(two: tuple[Connections, Connections]):
    one, other = two
    phone = await attached(two, one, PHONE)
    one.detach(PHONE, KeptMailbox())
    other.detach(TABLET, KeptMailbox())
    other.send(BOB, BEGAN)

    assert await one.count() == 1
    one.send(ANN, BEGAN)
    await phone.until(BEGAN)


async def test_who_comes_and_goes_at_once_leaves_nothing_behind(two: tuple[Connections, Connections]):
    one, other = two
    laptop = await attached(two, other, LAPTOP)
    for _ in range(20):
        phone = KeptMailbox()
        one.attach(PHONE, phone)
        one.detach(PHONE, phone)
    tablet = await attached(two, one, TABLET)

    async def settled() -> bool:
        return joined(TABLET) in laptop.events

    await eventually(settled)
    about_phone = [event for event in laptop.events if event != joined(TABLET)]
    assert about_phone == [joined(PHONE), left(PHONE)] * (len(about_phone) // 2)
    assert tablet.events == []
    await counted(one, 2)


async def test_beyond_what_one_user_may_have_a_connection_is_refused_and_nobody_hears_of_it(
    two: tuple[Connections, Connections],
):
    one, other = two
    phones = [await attached(two, two[n % 2], Device(ANN, ClientId(f"phone {n}"))) for n in range(MOST)]
    bobs = await attached(two, one, Device(BOB, ClientId("phone")))
    one_too_many, newer = KeptMailbox(), KeptMailbox()
    other.attach(LAPTOP, one_too_many)
    await one_too_many.until_refused()
    other.detach(LAPTOP, one_too_many)
    one.attach(Device(ANN, ClientId("phone 1")), newer)
    await phones[1].until_replaced()
    one.send(ANN, BEGAN)

    await newer.until(BEGAN)
    assert one_too_many.events == bobs.events == []
    assert not any(mailbox.was_refused for mailbox in (newer, bobs, *phones))
    assert not any(about.client_id == LAPTOP.client_id for about in phones[0].events[:-1])

    one.detach(Device(ANN, ClientId("phone 1")), newer)
    await counted(other, MOST)
    laptop = await attached(two, other, LAPTOP)
    other.send(ANN, NEWS)
    await laptop.until(NEWS)


async def test_however_many_come_at_once_no_more_stay_than_may(two: tuple[Connections, Connections]):
    mailboxes = [KeptMailbox() for _ in range(4 * MOST)]
    for number, mailbox in enumerate(mailboxes):
        two[number % 2].attach(Device(ANN, ClientId(f"phone {number}")), mailbox)

    async def decided() -> bool:
        return sum(mailbox.was_refused for mailbox in mailboxes) == 3 * MOST

    await eventually(decided)
    await counted(two[0], MOST)
