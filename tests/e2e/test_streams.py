"""Leaving a stream for good, one live run a thread, and many streams on few connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest

from chatorch.adapters.sql import SqlRunStore, open_database
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Run
from tests.e2e.conftest import Record, ServerIn
from tests.support.accounts import sign_up
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, all_ended, batches, calling
from tests.support.stores import new_run, turn
from tests.support.upstream import Upstream, done, finish, hang, pause, text, tokens, usage

PROMPT_S = 3.0
"""Where streams held the connections, it would be until they end, or a 503 after five seconds."""

GRACE_S = 0.5
LEASE_S = 1.0


@pytest.fixture(scope="module")
def hasty(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets a run go on unwatched for half a second only, and gives up dead ones after a second."""
    folder = tmp_path_factory.mktemp("hasty")
    server = server_in(folder, detach_grace_s=GRACE_S, checkpoint_s=0.2, lease_s=LEASE_S, continue_within_s=0)
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(params=["server", "on_postgres"])
def either(request: pytest.FixtureRequest) -> Server:
    """The same on both stores."""
    return request.getfixturevalue(request.param)


async def test_a_run_that_everybody_left_is_cancelled_upstream_after_the_grace_and_keeps_its_text(
    hasty: Server, upstream: Upstream, record_property: Record
):
    count = size(20, 200)
    model = upstream.model(text("half a"), hang())
    async with calling(hasty) as alice:
        streams = [await alice.say(f"Hi {i}", model=model) for i in range(count)]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in streams))
        left_at = {}
        for i, (stream, how) in enumerate(zip(streams, cycle(["fin", "rst"]), strict=False)):
            left_at[f"Hi {i}"] = time.monotonic()
            await stream.leave(how)
        closed = await upstream.until(model, "closed", count)
        gone_after = [seen.closed_at - left_at[seen.body["messages"][-1]["content"]] for seen in closed]
        record_property("closed_after_s", (min(gone_after), max(gone_after)))
        assert min(gone_after) >= GRACE_S - 0.05
        assert max(gone_after) <= GRACE_S + 0.5
        for stream in streams:
            told = await (await alice.follow(stream.run_id)).ended()
            assert told.text == "half a"
            assert [(end["type"], end["reason"]) for end in told.terminals] == [("run.cancelled", "detached")]
        [_, answer] = await alice.messages(streams[0].events[0]["thread_id"])
        assert (answer["content"], answer["status"]) == ("half a", "incomplete")


async def test_whoever_comes_back_within_the_grace_keeps_the_run_going(hasty: Server, upstream: Upstream):
    model = upstream.model(text("one "), pause("kept"), text("two"), finish(), usage(), done())
    async with calling(hasty) as alice:
        gone = await (await alice.say("Hi", model=model)).until(lambda s: s.text)
        await gone.leave("rst")
        back = await alice.follow(gone.run_id, gone.position)
        other = await (await alice.say("Hi", model=upstream.model(text("x"), hang()))).until(lambda s: s.text)
        await other.leave()
        await upstream.until(other.events[0]["model"], "closed")  # by now its own grace would have been over too
        upstream.release("kept")
        await back.ended()
        assert (back.text, back.terminals[0]["type"]) == ("two", "run.completed")


async def test_a_thread_has_one_live_run_however_many_are_asked_for_at_once(either: Server, upstream: Upstream):
    slow = upstream.model(text("Well"), hang())
    async with calling(either) as alice:
        first = await (await alice.say("Hi", model="mock-1-0")).ended()
        thread = first.events[0]["thread_id"]
        for _ in range(size(3, 30)):
            asked = [await alice.say("More", model=slow, thread_id=thread) for _ in range(20)]
            await asyncio.gather(*(one.until(lambda s: s.text or s.complete) for one in asked))
            [live] = [one for one in asked if one.status == 200]
            refused = [one.json for one in asked if one is not live]
            assert {(no["status"], no["code"], no["run_id"]) for no in refused} == {(409, "thread_busy", live.run_id)}
            await alice.cancel(live.run_id)
            await live.ended()
        roles = [message["role"] for message in await alice.messages(thread)]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


async def test_a_run_that_nobody_carries_out_is_ended_and_its_thread_goes_on(hasty: Server, upstream: Upstream):
    async with calling(hasty) as alice:
        alive = await (await alice.say("Hi", model=upstream.model(text("x"), hang()))).until(lambda s: s.text)
        run = await opened_by_nobody(hasty, UserId((await alice.get("/api/me")).json["user_id"]))
        busy = await (await alice.say("More", model="mock-2-0", thread_id=run.thread_id)).ended()
        assert (busy.status, busy.json["run_id"]) == (409, run.id)
        told = await (await alice.follow(run.id)).ended(LEASE_S + 2)
        assert [event["type"] for event in told.events] == ["run.started", "run.interrupted"]
        more = await (await alice.say("More", model="mock-2-0", thread_id=run.thread_id)).ended()
        assert [end["type"] for end in more.terminals] == ["run.completed"]
        assert (await alice.run(alive.run_id))["status"] == "streaming"
        assert not alive.over


async def opened_by_nobody(server: Server, owner: UserId) -> Run:
    """A run as it is left where the store took it and the answer was lost on the way."""
    database = open_database(server.settings["DATABASE_URL"])
    try:
        opened = await SqlRunStore(database).open_run(
            new_run("lost", owner=owner, now=datetime.now(UTC)), turn("lost", "lost", opens=True)
        )
    finally:
        await database.close()
    return opened.run


async def test_many_streams_on_a_pool_of_five_hold_no_connection_and_nothing_waits_for_one(
    on_postgres: Server, upstream: Upstream, record_property: Record
):
    count = size(100, 500)
    model = upstream.model(tokens(5), pause("all"), tokens(5), finish(), usage(), done())
    logged = len(on_postgres.log)
    async with calling(on_postgres) as alice:
        streams: list[Exchange] = []
        for some in batches(range(count), 25):
            more = [await alice.say("Hi", model=model) for _ in some]
            await asyncio.gather(*(stream.until(lambda s: s.text) for stream in more))
            streams += more
        samples = await _metrics_meanwhile(alice)
        assert {sample["live_runs"] for sample in samples} == {count}
        in_use = Counter(sample["db_pool_in_use"] for sample in samples)
        record_property("connections_in_use", dict(in_use))
        # Once a second each: the checkpoint of all of them, and the look for abandoned ones.
        assert set(in_use) <= {0, 1, 2}, in_use
        assert in_use[0], "figures are up to a second old, so that each of the few there are may show a checkpoint"
        upstream.release("all")
        await all_ended(streams, 30)
        assert Counter(s.terminals[0]["type"] for s in streams) == {"run.completed": count}
        assert {s.text for s in streams} == {streams[0].text}
        assert "store_unavailable" not in on_postgres.log[logged:]
        assert {sample["db_pool_size"] for sample in samples} == {5}


async def _metrics_meanwhile(alice: Caller) -> list[dict[str, Any]]:
    """What the server says of itself, for two checkpoints, while store requests are answered promptly between."""
    samples = []
    until = time.monotonic() + 2.5
    while (began := time.monotonic()) < until:
        if len(samples) % 5 == 0:
            assert (await alice.get("/api/threads?limit=5")).status == 200
            assert time.monotonic() - began < PROMPT_S
        answer = await (await alice.request("GET", "/metrics", headers={"accept": "application/json"})).ended()
        samples.append(answer.json)
    return samples
