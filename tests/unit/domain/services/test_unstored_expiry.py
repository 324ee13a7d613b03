"""Threads that are not to be kept are removed after their time, a batch at a time."""

import asyncio
from datetime import timedelta

from chatorch.domain.services.unstored_expiry import BATCH, EVERY_S, PAUSE_S, UnstoredExpiry
from tests.support.app import Chat
from tests.support.fakes import settle


async def test_after_their_days_in_steps_and_through_an_outage():
    chat = Chat(max_live_runs=10_000)
    expiry = UnstoredExpiry(store=chat.store.unstored_threads, clock=chat.clock, telemetry=chat.telemetry, days=1)
    for number in range(BATCH + 1):
        await chat.start(f"Hi {number}", stored=False)
    await chat.start("Keep this")
    await settle()
    loop = asyncio.ensure_future(expiry.keep_forgetting())
    await chat.clock.until_asleep()
    chat.clock.wall_offset = timedelta(hours=23)
    await chat.clock.advance(EVERY_S)
    assert len(chat.store.state.threads) == BATCH + 2
    chat.clock.wall_offset = timedelta(hours=25)
    chat.store.available = False
    await chat.clock.advance(EVERY_S)
    chat.store.available = True
    await chat.clock.advance(EVERY_S)
    assert len(chat.store.state.threads) == 2
    await chat.clock.advance(PAUSE_S)
    assert len(chat.store.state.threads) == 1
    loop.cancel()
