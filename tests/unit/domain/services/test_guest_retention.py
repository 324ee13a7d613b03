"""For how long what guests left is kept."""

import asyncio

import pytest

from chatorch.domain.services.guest_retention import BATCH, GuestRetention
from chatorch.ports.guests import GuestThreadStore
from tests.support.app import RecordingTelemetry
from tests.support.fakes import FakeClock, settle
from tests.support.sizes import size


class Left(GuestThreadStore):
    """So many threads that are due; `before` is how old, in seconds, each time that somebody asked for some."""

    def __init__(self, clock: FakeClock, due: int, there: int = 0) -> None:
        self.due = due
        self.there = there
        self.before: list[float] = []
        self._clock = clock

    async def forget(self, before, limit: int) -> int:
        self.before.append((self._clock.now() - before).total_seconds())
        taken = min(limit, self.due)
        self.due -= taken
        return taken

    async def shed(self, keep: int, limit: int) -> int:
        taken = min(limit, max(self.there - keep, 0))
        self.there -= taken
        return taken


@pytest.mark.parametrize(("hours", "interval_s"), [(24, 60), (0.01, 9), (0, 1)])
async def test_what_guests_left_is_removed_in_batches_when_its_time_is_over(hours: float, interval_s: float) -> None:
    clock = FakeClock()
    left = Left(clock, due=3 * BATCH + 1)
    retention = GuestRetention(store=left, clock=clock, telemetry=RecordingTelemetry(), hours=hours, most=9)
    tidying = asyncio.create_task(retention.keep_tidy())
    await clock.advance(interval_s - 0.01)
    assert left.before == []
    await clock.advance(0.02)
    assert left.due == 2 * BATCH + 1
    await clock.advance(0.5)
    assert left.due == 0
    assert left.before == [hours * 3600] * 4
    tidying.cancel()
    await settle()


@pytest.mark.soak
async def test_of_a_day_of_guests_from_everywhere_no_more_is_left_than_is_to_be_kept() -> None:
    """A hundred a second, from addresses that are new each time: nothing of it is old."""
    clock = FakeClock()
    left = Left(clock, due=0)
    retention = GuestRetention(store=left, clock=clock, telemetry=RecordingTelemetry(), hours=24, most=10_000)
    most = 0
    for _ in range(size(12, 24 * 60)):
        left.there += 6000
        most = max(most, left.there)
        sweeping = asyncio.create_task(retention.sweep())
        await clock.advance(60)
        await sweeping
    assert (left.there, most) == (10_000, 16_000)
