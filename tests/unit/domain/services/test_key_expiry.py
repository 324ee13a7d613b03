"""Keys are forgotten a few at a time, and none that may still count by another machine's clock."""

import asyncio
from datetime import timedelta

import pytest

from chatorch.domain.services.key_expiry import BATCH, EVERY_S, PAUSE_S, KeyExpiry
from tests.support.app import Chat


class Sweeping:
    def __init__(self) -> None:
        self.chat = Chat(max_live_runs=10_000)
        self.key_expiry = KeyExpiry(store=self.chat.store.runs, clock=self.chat.clock, telemetry=self.chat.telemetry)

    @property
    def kept(self) -> int:
        return len(self.chat.store.runs._state.keys)

    async def use(self, count: int) -> None:
        for number in range(count):
            await self.chat.start(f"Hi {number}", idempotency_key=f"key {number}")

    async def __aenter__(self) -> "Sweeping":
        self.loop = asyncio.ensure_future(self.key_expiry.keep_forgetting())
        await self.chat.clock.until_asleep()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.loop.cancel()


async def test_keys_are_kept_for_longer_than_they_count_and_then_forgotten():
    async with Sweeping() as sweeping:
        await sweeping.use(3)
        run = await sweeping.chat.start("Hi 0", idempotency_key="key 0")
        sweeping.chat.clock.wall_offset = timedelta(hours=23.9)
        await sweeping.chat.clock.advance(EVERY_S)
        assert (await sweeping.chat.start("Hi 0", idempotency_key="key 0")).id == run.id
        assert sweeping.kept == 3
        sweeping.chat.clock.wall_offset = timedelta(hours=31)
        await sweeping.chat.clock.advance(EVERY_S)
        assert sweeping.kept == 0


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(hours=2)])
async def test_a_clock_that_jumps_ahead_forgets_nothing_for_those_who_know_better(ahead):
    async with Sweeping() as sweeping:
        await sweeping.use(1)
        sweeping.chat.clock.wall_offset = timedelta(hours=23) + ahead
        await sweeping.chat.clock.advance(EVERY_S)
        sweeping.chat.clock.wall_offset -= ahead
        again = await sweeping.chat.start("Hi 0", idempotency_key="key 0")
        assert (sweeping.kept, again.id) == (1, next(iter(sweeping.chat.store.runs._state.runs)))


async def test_many_are_forgotten_in_steps_with_pauses_between_them():
    async with Sweeping() as sweeping:
        await sweeping.use(2 * BATCH + 1)
        sweeping.chat.clock.wall_offset = timedelta(days=2)
        left = []
        await sweeping.chat.clock.advance(EVERY_S)
        for _ in range(3):
            left.append(sweeping.kept)
            await sweeping.chat.clock.advance(PAUSE_S)
        assert left == [BATCH + 1, 1, 0]


async def test_an_outage_and_a_fault_are_told_and_the_next_minute_comes():
    async with Sweeping() as sweeping:
        await sweeping.use(1)
        sweeping.chat.clock.wall_offset = timedelta(days=2)
        sweeping.chat.store.available = False
        await sweeping.chat.clock.advance(EVERY_S)
        sweeping.chat.store.available = True
        forget, sweeping.chat.store.runs.forget_keys = sweeping.chat.store.runs.forget_keys, None
        await sweeping.chat.clock.advance(EVERY_S)
        sweeping.chat.store.runs.forget_keys = forget
        await sweeping.chat.clock.advance(EVERY_S)
        assert (len(sweeping.chat.telemetry.outages), len(sweeping.chat.telemetry.failures)) == (1, 1)
        assert sweeping.kept == 0
