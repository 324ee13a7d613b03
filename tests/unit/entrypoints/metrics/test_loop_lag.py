"""How late the event loop is."""

import asyncio

from chatorch.entrypoints.metrics.loop_lag import sample_loop_lag
from chatorch.ports.system import Clock
from tests.support.fakes import FakeClock


class LateClock(FakeClock):
    """Every sleep takes `late` seconds longer than it should."""

    late = 0.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late)


async def sampled(clock: Clock, seconds: float) -> list[float]:
    lags: list[float] = []
    task = asyncio.create_task(sample_loop_lag(clock, lags.append, interval_s=0.25))
    await clock.until_asleep()
    await clock.advance(seconds)
    task.cancel()
    return lags


async def test_a_loop_that_wakes_in_time_has_no_lag():
    assert await sampled(FakeClock(), 1.0) == [0, 0, 0, 0]


async def test_a_loop_that_wakes_late_is_told_by_how_much():
    clock = LateClock()
    clock.late = 0.25
    assert await sampled(clock, 1.0) == [0.25, 0.25]
