"""The store takes reads and no writes for a while: no healthy run ends, and one whose worker died meanwhile does."""

import asyncio
import time

import pytest

from tests.e2e.conftest import Record, TwoWorkers
from tests.support.eventually import eventually
from tests.support.outages import outage
from tests.support.postgres import Databases
from tests.support.sizes import size
from tests.support.sockets import Exchange, all_ended, batches
from tests.support.upstream import Upstream, text
from tests.support.workers import Worker

LEASE_S = size(2, 5)
CHECKPOINT_S = size(4, 10) / 10
LIVE = size(10, 200)
INTERRUPTED_S = 10.0
KINDS = {"read-only": size(3, 9), "table lock": size(3, 14), "busy file": size(3, 8)}
"""And for how many seconds."""
TRIED = list(KINDS) if size(0, 1) else ["table lock"]


async def over(both: list[Worker], upstream: Upstream) -> list[list[Exchange]]:
    """Live runs that say a word a second, half of them on each worker."""
    model = upstream.model(text(*(f"{i:04} " for i in range(1000)), every=1))
    streams: list[list[Exchange]] = []
    for worker in both:
        begun: list[Exchange] = []
        for some in batches(range(LIVE // 2), 20):
            asked = [await worker.alice.say("Go on", model=model) for _ in some]
            await asyncio.gather(*(stream.until(lambda s: s.text) for stream in asked))
            begun += asked
        streams.append(begun)
    return streams


async def lasts(seconds: float) -> None:
    until = time.monotonic() + seconds

    async def is_over() -> bool:
        return time.monotonic() >= until

    await eventually(is_over, within=seconds + 5, every=0.05)


@pytest.mark.soak
@pytest.mark.parametrize("kind", TRIED)
async def test_a_store_that_takes_no_writes_ends_no_healthy_run_and_soon_afterwards_those_of_the_dead(
    two_workers: TwoWorkers, upstream: Upstream, postgres: Databases, record_property: Record, kind: str
):
    url = None if kind == "busy file" else await postgres.fresh()
    async with two_workers(url, lease_s=LEASE_S, checkpoint_s=CHECKPOINT_S, continue_within_s=0) as (one, two):
        store = one.server.settings["DATABASE_URL"]
        streams = await over([one, two], upstream)
        async with outage(kind, store):
            await lasts(KINDS[kind])
        await lasts(LEASE_S * 1.5)
        ended = [stream.terminals for some in streams for stream in some if stream.terminals]
        record_property("ended_of_the_healthy", len(ended))
        assert ended == []

        followed = [await two.alice.follow(stream.run_id) for stream in streams[0]]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in followed))
        async with outage(kind, store):
            await one.server.kill()
            await lasts(KINDS[kind] / 2)
        back_at = time.monotonic()
        await all_ended(followed, INTERRUPTED_S + 5)
        record_property("ended_after_s", took := time.monotonic() - back_at)
        assert took <= INTERRUPTED_S
        assert {stream.terminals[0]["type"] for stream in followed} == {"run.interrupted"}
        assert not any(stream.terminals for stream in streams[1])
        assert two.server.errors == []
