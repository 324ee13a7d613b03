"""The same device on two processes: exactly one of its connections stays, however far away Redis is."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device
from tests.support.eventually import eventually
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess, fresh_prefix, processes
from tests.support.redis_server import RedisServer
from tests.support.sizes import size
from tests.support.wire import Wire, wire_to

RENEW_S = 0.25
AWAY_S = 0.2
CLEARLY_S = 0.1
"""Ages are as exact as the way to Redis is quick."""
PHONE = ClientId("phone")

pytestmark = pytest.mark.soak

Pair = tuple[KeptMailbox, KeptMailbox]


@asynccontextmanager
async def two_far_away(redis: RedisServer, **measures: float) -> AsyncIterator[tuple[list[RedisProcess], list[Wire]]]:
    """Two processes, each with a wire of its own; to Redis and back a word takes up to `AWAY_S`."""
    prefix = fresh_prefix()
    async with wire_to(redis.port, AWAY_S / 2) as one, wire_to(redis.port, AWAY_S / 3) as other:
        started = [
            RedisProcess(f"redis://127.0.0.1:{wire.port}/0", prefix, renew_s=RENEW_S, **measures)
            for wire in (one, other)
        ]
        await asyncio.gather(*(process.start() for process in started))
        try:
            yield started, [one, other]
        finally:
            await asyncio.gather(*(process.aclose() for process in started))


def device(number: int) -> Device:
    return Device(UserId(f"usr_{number}"), PHONE)


async def renewed(redis: RedisServer, started: Sequence[RedisProcess]) -> None:
    """Waits until all that each process holds has been renewed twice, and what came of it was heard."""
    async with processes(redis.url, 1) as [near]:
        expiries = f"{started[0].link.prefix}expiries"
        probes = [Device(UserId(f"usr_probe_{number}"), PHONE) for number in range(len(started))]
        for process, probe in zip(started, probes, strict=True):
            process.connections.attach(probe, KeptMailbox())
        names = [f"{probe.user_id}\n{probe.client_id}" for probe in probes]
        for _ in range(3):
            before = await near.link.ask(*(("ZSCORE", expiries, name) for name in names))

            async def later(before: list = before) -> bool:
                now = await near.link.ask(*(("ZSCORE", expiries, name) for name in names))
                return all(new and float(new) > float(old or 0) for new, old in zip(now, before, strict=True))

            await eventually(later, every=0.05)
        for process, probe in zip(started, probes, strict=True):
            if held := process.connections._here.of(probe):
                process.connections.detach(probe, held.mailbox)


async def counted(process: RedisProcess, number: int) -> None:
    async def look() -> bool:
        return await process.connections.count() == number

    await eventually(look)


def lefts(pairs: Sequence[Pair]) -> list[int]:
    return [sum(not mailbox.was_replaced for mailbox in pair) for pair in pairs]


async def one_of_each_is_left(redis: RedisServer, started: Sequence[RedisProcess], pairs: Sequence[Pair]) -> None:
    async def decided() -> bool:
        return max(lefts(pairs)) < 2

    await eventually(decided, every=0.05)
    await renewed(redis, started)
    assert lefts(pairs) == [1] * len(pairs)


async def test_of_two_connections_at_once_one_is_left(own_redis: RedisServer):
    """Spread over the time between two renewals, which is when both could be lost."""
    count = size(40, 150)
    async with two_far_away(own_redis) as (started, _):
        pairs: list[Pair] = []
        for number in range(count):
            pair = KeptMailbox(), KeptMailbox()
            pairs.append(pair)
            for at in (number % 2, 1 - number % 2):
                started[at].connections.attach(device(number), pair[at])
            await asyncio.sleep(2 * RENEW_S / count)

        await one_of_each_is_left(own_redis, started, pairs)


async def test_the_newer_one_is_left_when_redis_comes_back_empty(own_redis: RedisServer):
    """Those from before have high ranks of a counter that is gone; those that came meanwhile have none."""
    count = size(15, 150)
    async with processes(own_redis.url, renew_s=RENEW_S) as started:
        pairs: list[Pair] = [(KeptMailbox(), KeptMailbox()) for _ in range(count)]
        older = [number % 2 for number in range(count)]
        for number in range(0, count, 3):
            started[older[number]].connections.attach(device(number), pairs[number][older[number]])
        await counted(started[0], len(range(0, count, 3)))
        own_redis.kill()
        for process in started:
            await process.until(up=False)
        for number in range(count):
            if number % 3:
                started[older[number]].connections.attach(device(number), pairs[number][older[number]])
        await asyncio.sleep(CLEARLY_S)
        for number in range(count):
            started[1 - older[number]].connections.attach(device(number), pairs[number][1 - older[number]])
        own_redis.start()
        for process in started:
            await process.until(up=True)

        await one_of_each_is_left(own_redis, started, pairs)
        assert [pair[older[number]].was_replaced for number, pair in enumerate(pairs)] == [True] * count


async def test_one_is_left_when_answers_are_lost_on_the_way(own_redis: RedisServer):
    """Whoever lost the answer asks again, and must not undo what was decided since."""
    count = size(30, 150)
    chance = random.Random(4)
    async with two_far_away(own_redis) as (started, wires):
        pairs: list[Pair] = []
        for number in range(count):
            pair = KeptMailbox(), KeptMailbox()
            pairs.append(pair)
            for at in chance.sample((0, 1), 2):
                started[at].connections.attach(device(number), pair[at])
            if chance.random() < 0.2:
                wire = chance.choice(wires)
                wire.cut()
                wire.mend()
            await asyncio.sleep(2 * RENEW_S / count)
        for process in started:
            await process.until(up=True)

        await one_of_each_is_left(own_redis, started, pairs)
