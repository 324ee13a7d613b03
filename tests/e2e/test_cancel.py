"""Stopping a run: quickly, for everybody who follows it, and exactly once."""

import asyncio
import random
import time
from collections import Counter

from tests.e2e.conftest import Record
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, all_ended, batches, calling
from tests.support.upstream import Upstream, hang, text

WITHIN_S = 0.5
AT_ONCE = 20


async def test_cancel_closes_upstream_and_reaches_every_follower_within_half_a_second(
    server: Server, upstream: Upstream, record_property: Record
):
    count = size(20, 200)
    model = upstream.model(text("half a"), hang())
    async with calling(server) as alice:
        posts = [await alice.say(f"Hi {i}", model=model) for i in range(count)]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in posts))
        gets = [await alice.follow(stream.run_id) for stream in posts]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in gets))
        asked_at: list[float] = []
        for some in batches(posts, AT_ONCE):
            asked_at += [time.monotonic()] * len(some)
            answers = await asyncio.gather(*(alice.cancel(stream.run_id) for stream in some))
            assert {answer.status for answer in answers} == {202}
        await all_ended([*posts, *gets])
        closed = {seen.body["messages"][-1]["content"]: seen for seen in await upstream.until(model, "closed", count)}
        took = []
        for i, (post, get) in enumerate(zip(posts, gets, strict=True)):
            assert post.terminals == get.terminals
            assert [(end["type"], end["reason"]) for end in post.terminals] == [("run.cancelled", "user")]
            took += [
                closed[f"Hi {i}"].closed_at - asked_at[i],
                post.times[-1] - asked_at[i],
                get.times[-1] - asked_at[i],
            ]
        record_property("slowest_s", max(took))
        assert max(took) <= WITHIN_S, sorted(took)[-5:]


async def test_a_json_caller_hears_that_its_run_was_cancelled(server: Server, upstream: Upstream):
    model = upstream.model(text("half a"), hang())
    async with calling(server) as alice:
        waiting = await alice.say("Hi", model=model, stream=False)
        await upstream.until(model, "seen")
        [thread] = (await alice.get("/api/threads?limit=1")).json["data"]
        [_, answer] = await alice.messages(thread["id"])
        await alice.cancel(answer["run_id"])
        await waiting.ended()
        assert (waiting.status, waiting.json["code"]) == (409, "run_cancelled")
        assert waiting.json["run_id"] == answer["run_id"]


async def test_cancel_twice_racing_with_completion_gives_one_end_the_same_for_all(
    server: Server, record_property: Record
):
    count = size(100, 1000)
    chance = random.Random(7)
    async with calling(server) as alice:
        ends: Counter[str] = Counter()
        for some in batches(range(count), AT_ONCE):
            ends.update(await asyncio.gather(*(_race(alice, chance.randint(0, 7)) for _ in some)))
    record_property("ends", dict(ends))
    assert set(ends) == {"completed", "cancelled"}, ends


async def _race(alice: Caller, pieces: int) -> str:
    """Cancels twice at once when so many pieces of six have come; more than there are: when it has just ended."""
    stream = await (await alice.say("Hi", model="mock-6-5")).until(lambda s: s.status)
    other = await alice.follow(stream.run_id)
    await stream.until(lambda s: s.complete or s.text.count("tok") >= pieces)
    await asyncio.gather(alice.cancel(stream.run_id), alice.cancel(stream.run_id))
    await all_ended([stream, other])
    late = await (await alice.follow(stream.run_id)).ended()
    row = await alice.run(stream.run_id)
    [end] = stream.terminals
    assert other.terminals == late.terminals == [end]
    assert other.text == late.text == stream.text == row["text"]
    assert end["type"] == f"run.{row['status']}"
    return row["status"]
