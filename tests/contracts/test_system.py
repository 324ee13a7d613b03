"""What every clock, id factory and spawner keeps to, the tests' own included."""

import asyncio
import re
from datetime import UTC, timedelta

import pytest

from chatorch.adapters.system import SystemClock, TaskSpawner, TimeOrderedIds
from chatorch.ports.system import Clock, IdFactory, Spawner
from tests.support.fakes import FakeClock, settle

ID = re.compile(r"run_[0-9a-z]{26}")


@pytest.fixture(params=["system", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else FakeClock()


def test_now_is_aware_utc(clock: Clock):
    assert clock.now().tzinfo is UTC


def test_monotonic_never_goes_back(clock: Clock):
    moments = [clock.monotonic() for _ in range(100)]
    assert moments == sorted(moments)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_sleeping_for_nothing_lets_others_run_and_returns(clock: Clock, seconds: float):
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    async with asyncio.timeout(5):
        await clock.sleep(seconds)
    assert ran.is_set()


async def test_a_sleeper_can_be_cancelled(clock: Clock):
    sleeper = asyncio.create_task(clock.sleep(3600))
    await settle()
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper


async def test_the_system_clock_sleeps_at_least_as_long_as_asked():
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009


@pytest.fixture(params=["time-ordered"])
def ids(request: pytest.FixtureRequest, id_clock: FakeClock) -> IdFactory:
    return {"time-ordered": TimeOrderedIds}[request.param](id_clock)


@pytest.fixture
def id_clock() -> FakeClock:
    return FakeClock()


def test_an_id_is_its_prefix_and_26_characters(ids: IdFactory):
    assert all(ID.fullmatch(ids.new("run")) for _ in range(1000))


def test_ids_are_never_the_same(ids: IdFactory):
    assert len({ids.new("run") for _ in range(10_000)}) == 10_000


def test_ids_sort_by_time(ids: IdFactory, id_clock: FakeClock):
    made = []
    for _ in range(1000):
        made.append(ids.new("run"))
        id_clock.wall_offset += timedelta(milliseconds=1)
    id_clock.wall_offset += timedelta(days=40_000)
    made.append(ids.new("run"))
    assert made == sorted(made)


def test_an_id_has_at_least_74_bits_that_time_does_not_tell(ids: IdFactory):
    made = [ids.new("run")[-15:] for _ in range(500)]
    for place in zip(*made, strict=True):
        assert len(set(place)) == 32


@pytest.fixture(params=["tasks"])
def spawner(request: pytest.FixtureRequest) -> Spawner:
    return {"tasks": TaskSpawner}[request.param]()


async def test_work_runs_in_the_background_to_its_end(spawner: Spawner):
    begin, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await begin.wait()
        done.set()

    spawner.spawn(work(), "work")
    assert not done.is_set()
    begin.set()
    async with asyncio.timeout(5):
        await done.wait()


async def test_work_has_the_name_it_was_given(spawner: Spawner):
    names: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        names.set_result(asyncio.current_task().get_name())

    spawner.spawn(work(), "run run_1")
    async with asyncio.timeout(5):
        assert await names == "run run_1"
