"""What is made once for all who ask."""

import asyncio

import pytest

from chatorch.entrypoints.metrics.kept import Kept
from tests.support.fakes import FakeClock, settle


class Making:
    """Numbers what it makes; waits for the test where it is told to."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> int:
        self.made += 1
        await self.go_on.wait()
        return self.made


async def test_it_is_made_once_a_second_however_many_ask() -> None:
    making, clock = Making(), FakeClock()
    kept = Kept(making, clock, 1.0)
    for second in range(5):
        for _ in range(270):
            assert await kept.get() == second + 1
        await clock.advance(1)


async def test_who_asks_while_it_is_made_waits_for_it() -> None:
    making = Making()
    kept = Kept(making, FakeClock(), 1.0)
    making.go_on.clear()
    asked = [asyncio.create_task(kept.get()) for _ in range(270)]
    await settle()
    making.go_on.set()
    assert set(await asyncio.gather(*asked)) == {1}


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    making = Making()
    kept = Kept(making, FakeClock(), 1.0)
    making.go_on.clear()
    first, *others = [asyncio.create_task(kept.get()) for _ in range(10)]
    await settle()
    first.cancel()
    await settle()
    making.go_on.set()
    assert set(await asyncio.gather(*others)) == {2}


async def test_a_failure_is_kept_for_nobody() -> None:
    answers = iter([OSError(), 7])

    async def make() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    kept = Kept(make, FakeClock(), 1.0)
    with pytest.raises(OSError):
        await kept.get()
    assert await kept.get() == await kept.get() == 7
