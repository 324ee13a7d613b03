"""Machines whose clocks differ, or jump, tell the same time: the database's."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from chatorch.adapters.sql.store_clock import EVERY_S, SLOW_S, StoreClock
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.api import Api, running_api, said
from tests.support.fakes import START, FakeClock
from tests.support.logged import logged
from tests.support.postgres import Databases

APART = [timedelta(minutes=-10), timedelta(minutes=10), timedelta(hours=2), timedelta(hours=-2)]


class Server:
    """A database that tells the true time, which the fake clock's monotonic one follows."""

    def __init__(self, own: FakeClock) -> None:
        self._own = own
        self.available = True
        self.slow_s = 0.0
        self.wrong = timedelta()

    @property
    def time(self) -> datetime:
        return START + timedelta(seconds=self._own.monotonic()) + self.wrong

    async def read(self, _work: object) -> datetime:
        if not self.available:
            raise StoreUnavailable
        there = self.time
        if self.slow_s:
            await self._own.sleep(self.slow_s)
        return there


class Machine:
    def __init__(self, off: timedelta = timedelta()) -> None:
        self.own = FakeClock()
        self.own.wall_offset = off
        self.server = Server(self.own)
        self.clock = StoreClock(self.own, self.server)

    @property
    def off_s(self) -> float:
        return (self.clock.now() - self.server.time).total_seconds()


@pytest.mark.parametrize("off", APART)
async def test_it_tells_the_databases_time_and_does_not_mind_a_jump_of_its_own(off: timedelta):
    machine = Machine(off)
    assert machine.off_s == off.total_seconds(), "until it has asked"
    await machine.clock.set()
    assert machine.off_s == pytest.approx(0)
    machine.own.wall_offset += timedelta(hours=2)
    await machine.own.advance(1)
    assert machine.off_s == pytest.approx(0)
    await machine.clock.set()
    assert machine.off_s == pytest.approx(0)


async def test_clocks_that_agree_are_left_alone_so_that_time_runs_evenly():
    machine = Machine(timedelta(seconds=0.2))
    for wrong in (0, 0.1, -0.2, 0.3):
        machine.server.wrong = timedelta(seconds=wrong)
        await machine.clock.set()
        assert machine.clock.now() == machine.own.now()


async def test_a_database_that_is_away_or_slow_changes_nothing_and_one_that_moves_is_followed():
    machine = Machine(timedelta(minutes=10))
    keeping = asyncio.ensure_future(machine.clock.keep_set())
    await machine.own.until_asleep()
    machine.server.available = False
    await machine.own.advance(600)
    assert machine.off_s == pytest.approx(0)
    machine.server.available, machine.server.wrong = True, timedelta(seconds=40)
    machine.server.slow_s = SLOW_S + 1
    await machine.own.advance(EVERY_S + SLOW_S + 2)
    assert machine.off_s == pytest.approx(-40), "an answer on the way for so long tells nothing"
    machine.server.slow_s = 0
    await machine.own.advance(2 * EVERY_S)
    assert machine.off_s == pytest.approx(0)
    keeping.cancel()


async def test_an_operator_hears_once_that_the_machines_clock_is_wrong():
    machine = Machine(timedelta(minutes=10))
    with logged() as log:
        for _ in range(3):
            await machine.clock.set()
        machine.own.wall_offset = timedelta()
        await machine.clock.set()
    told = [record["ahead_of_database_s"] for record in log.named("clock_differs")]
    assert told == [pytest.approx(600), pytest.approx(0)]


# -- two machines on one PostgreSQL ------------------------------------------------------------------------------------


async def asked(api: Api, token: str, key: str) -> dict:
    client = api.anonymous(Authorization=token)
    answer = await client.post("/api/chat/protected", json=said("Hi"), headers={"Idempotency-Key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_machines_ten_minutes_apart_take_each_others_tokens_and_keys_and_a_jump_does_no_harm(
    postgres: Databases,
):
    url, true_time = await postgres.fresh(), datetime.now(UTC) - START
    owns = [FakeClock(), FakeClock()]
    owns[0].wall_offset, owns[1].wall_offset = true_time, true_time + timedelta(minutes=10)
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                running_api(swapped={"store_lock": None, "own_clock": own}, database_url=url)
            )
            for own in owns
        ]
        for api in (one, two):
            await api.container.clock().set()
        first = await one.user("alice")
        second = await two.sign_in("alice")
        tokens = [client.headers["Authorization"] for client in (first, second)]
        told = [await asked(api, token, "a key") for api in (one, two) for token in tokens]
        owns[0].wall_offset += timedelta(hours=2)
        told += [await asked(api, token, "a key") for api in (one, two) for token in tokens]
        third = (await one.sign_in("alice")).headers["Authorization"]
        told += [await asked(api, third, "a key") for api in (one, two)]
        assert len({answer["run_id"] for answer in told}) == 1
        await two.container.accounts().set_password("alice", "another password")
        for own in owns:
            await own.advance(5)
        fourth = (await one.sign_in("alice", "another password")).headers["Authorization"]
        for api in (one, two):
            codes = [
                (await api.anonymous(Authorization=token).get("/api/me")).status_code
                for token in (*tokens, third, fourth)
            ]
            assert codes == [401, 401, 401, 200]
