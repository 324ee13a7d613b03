"""Two processes behind one Redis: a run is the same from both, and outlives neither more nor less than its own."""

import asyncio
import signal
import time

import pytest

from tests.e2e.conftest import Record, TwoWorkers
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.sizes import size
from tests.support.sockets import Exchange, all_ended, batches
from tests.support.upstream import Upstream, done, finish, hang, pause, text, tokens, usage
from tests.support.workers import Worker

QUICK_S = 0.5
INTERRUPTED_S = 10.0
SLOWEST_S = 2.0
"""Of an answer while Redis comes and goes, on a machine that is busy with all the streams."""


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_a_run_of_one_is_followed_through_any_door_of_the_other_and_of_itself(
    two_workers: TwoWorkers, upstream: Upstream, postgres: Databases, store: str
):
    pieces = [f"{i:03} Grüße 😀 " for i in range(size(75, 150))]
    model = upstream.model(text(*pieces, every=0.02), finish(), usage(), done())
    url = await postgres.fresh() if store == "postgresql" else None
    async with two_workers(url) as (one, two):
        asked = await one.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        screen = Screen()
        phone = await two.door.connect("phone", two.token)
        await phone.ask("run.follow", run_id=asked.run_id)
        await phone.until(lambda frame: frame.get("seq", 0) > 200)
        await phone.connection.close()
        screen.show(phone.events(asked.run_id))
        back = await one.alice.follow(asked.run_id, screen.position)
        await back.until(lambda s: len(s.events) > 20)
        await back.leave()
        screen.show(back.events)
        last = await (await two.alice.follow(asked.run_id, screen.position)).ended()
        screen.show(last.events)
        await asked.ended()
        assert screen.text == asked.text == "".join(pieces)
        assert screen.snapshots == 0
        assert (await two.alice.run(asked.run_id))["text"] == screen.text
        assert one.server.errors == two.server.errors == []


async def test_following_and_cancelling_on_the_other_worker_is_as_quick_as_on_the_same(
    two_workers: TwoWorkers, upstream: Upstream, record_property: Record
):
    model = upstream.model(text("half "), hang())
    slowest_follow = slowest_cancel = 0.0
    async with two_workers() as (one, two):
        for some in batches(range(size(20, 100)), 10):
            asked = [await one.alice.say("Hi", model=model) for _ in some]
            await asyncio.gather(*(stream.until(lambda s: s.text) for stream in asked))
            began_at = time.monotonic()
            followed = [await two.alice.follow(stream.run_id) for stream in asked]
            await asyncio.gather(*(stream.until(lambda s: s.text == "half ") for stream in followed))
            slowest_follow = max(slowest_follow, time.monotonic() - began_at)
            for stream in asked:
                began_at = time.monotonic()
                assert (await two.alice.cancel(stream.run_id)).status == 202
                await stream.ended()
                slowest_cancel = max(slowest_cancel, time.monotonic() - began_at)
            await all_ended(followed)
            for stream in [*asked, *followed]:
                assert [(end["type"], end["reason"]) for end in stream.terminals] == [("run.cancelled", "user")]
        record_property("slowest_follow_s", slowest_follow)
        record_property("slowest_cancel_s", slowest_cancel)
        assert slowest_follow <= QUICK_S
        assert slowest_cancel <= QUICK_S


async def test_who_watches_on_the_other_worker_keeps_a_run_alive_and_who_leaves_there_ends_it(
    two_workers: TwoWorkers, upstream: Upstream
):
    name = "watched elsewhere"
    model = upstream.model(text("half "), pause(name), text("done"), finish(), usage(), done())
    left = upstream.model(text("half "), hang())
    async with two_workers(detach_grace_s=0.5) as (one, two):
        asked = [await one.alice.say("Hi", model=each) for each in (model, left)]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in asked))
        watching, leaving = [await two.alice.follow(stream.run_id) for stream in asked]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in (watching, leaving)))
        for stream in (*asked, leaving):
            await stream.leave()
        await upstream.until(left, "closed", within=15)  # its grace, and until its watcher is forgotten

        async def is_cancelled() -> bool:
            return (await two.alice.run(asked[1].run_id))["status"] == "cancelled"

        await eventually(is_cancelled)
        upstream.release(name)
        await watching.ended()
        assert (watching.text, watching.terminals[0]["type"]) == ("half done", "run.completed")


async def test_when_one_is_killed_the_followers_on_the_other_hear_the_end_of_its_runs(
    two_workers: TwoWorkers, upstream: Upstream, record_property: Record
):
    count = size(20, 200)
    every = max(count / 100, 1) * 0.05
    model = upstream.model(text(*(f"{i:04} " for i in range(2000)), every=every))
    async with two_workers(lease_s=size(2, 5), continue_within_s=0) as (one, two):
        asked: list[Exchange] = []
        for some in batches(range(count), 20):
            begun = [await one.alice.say("More?", model=model) for _ in some]
            await asyncio.gather(*(stream.until(lambda s: s.events) for stream in begun))
            asked += begun
        followed = [await two.alice.follow(stream.run_id) for stream in asked]
        await asyncio.gather(*(stream.until(lambda s: len(s.events) > 15, 30) for stream in followed))
        phone = await one.door.connect("phone", one.token)
        laptop = await two.door.connect("laptop", two.token)
        # Among all the streams either may be the one that comes to Redis later, and of which the other hears.
        hearing = [asyncio.ensure_future(device.until_type("presence")) for device in (phone, laptop)]
        _, waiting = await asyncio.wait(hearing, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        killed_at = time.monotonic()
        await one.server.kill()
        await all_ended(followed, INTERRUPTED_S + 5)
        record_property("heard_after_s", took := max(stream.times[-1] for stream in followed) - killed_at)
        assert took <= INTERRUPTED_S
        await all_ended(asked)
        for stream, seen in zip(followed, asked, strict=True):
            assert [end["type"] for end in stream.terminals] == ["run.interrupted"]
            stored = await two.alice.run(stream.run_id)
            assert (stored["status"], stored["text"]) == ("interrupted", stream.text)
            assert len(seen.text) - len(stream.text) <= 5 * 10, "older than what Redis had"
            question, answer = await two.alice.messages(seen.events[0]["thread_id"])
            assert (question["content"], answer["content"]) == ("More?", stored["text"])
        for _ in range(size(0, 1)):  # it takes as long as all of the above
            gone = await laptop.until_type("presence", within=15)
            if gone["status"] == "joined":
                gone = await laptop.until_type("presence", within=15)
            assert (gone["client_id"], gone["status"]) == ("phone", "left")
        thread = asked[0].events[0]["thread_id"]
        again = await (await two.alice.say("Go on", model="mock-3-0", thread_id=thread)).ended()
        assert again.terminals[0]["type"] == "run.completed"
        assert two.server.errors == []


async def test_one_that_was_stopped_and_wakes_again_finds_its_runs_ended_and_ends_them_nowhere_else(
    two_workers: TwoWorkers, upstream: Upstream
):
    count = size(10, 50)
    model = upstream.model(text(*(f"{i:04} " for i in range(400)), every=0.05), finish(), usage(), done())
    async with two_workers(lease_s=2, continue_within_s=0) as (one, two):
        asked = [await one.alice.say("Hi", model=model) for _ in range(count)]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in asked))
        followed = [await two.alice.follow(stream.run_id) for stream in asked]
        await asyncio.gather(*(stream.until(lambda s: len(s.events) > 20) for stream in followed))
        one.server.send_signal(signal.SIGSTOP)
        try:
            await all_ended(followed, INTERRUPTED_S + 5)
        finally:
            one.server.send_signal(signal.SIGCONT)
        await all_ended(asked)
        for zombie, stream in zip(asked, followed, strict=True):
            stored = await two.alice.run(stream.run_id)
            assert stored["status"] == "interrupted"
            assert stored["text"] == stream.text == zombie.text
            assert [end["type"] for end in (*stream.terminals, *zombie.terminals)] == ["run.interrupted"] * 2
        late = [await (await one.alice.follow(stream.run_id)).ended() for stream in asked]
        assert {stream.text for stream in late} == {stream.text for stream in followed}
        assert one.server.errors == two.server.errors == []


async def test_devices_on_both_hear_of_each_other_of_runs_and_of_announcements_once(
    two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    async with two_workers() as (one, two):
        phone = await one.door.connect("phone", one.token)
        laptop = await two.door.connect("laptop", two.token)
        joined = await phone.until_type("presence")
        assert (joined["client_id"], joined["status"]) == ("laptop", "joined")
        asked = await (await two.alice.say("Hi", model=model)).ended()
        for device in (phone, laptop):
            told = await device.until_type("run.started")
            assert (told["run_id"], told["thread_id"]) == (asked.run_id, asked.events[0]["thread_id"])
        other = await two.door.connect("phone", two.token)
        assert await phone.close_code() == 4409
        await other.connection.close()
        left = await laptop.until_type("presence")
        assert (left["client_id"], left["status"]) == ("phone", "left")
        await laptop.nothing_more()


async def test_redis_may_come_and_go_and_nothing_is_missing(
    two_workers: TwoWorkers, upstream: Upstream, own_redis: RedisServer, record_property: Record
):
    model = upstream.model(text(*(f"{i:05} " for i in range(100_000)), every=0.02))
    answered: list[float] = []
    worst_return = 0.0
    async with two_workers() as (one, two):
        streams = [await one.alice.say("Hi", model=model) for _ in range(size(10, 50))]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in streams))
        followed = [await two.alice.follow(stream.run_id) for stream in streams]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in followed))
        enough = asyncio.Event()
        chatting = asyncio.ensure_future(chat_on([one, two], answered, enough))
        for _ in range(size(3, 20)):
            own_redis.kill()
            before = [len(stream.text) for stream in streams]
            await asyncio.gather(
                *(s.until(lambda s, n=n: len(s.text) > n + 60) for s, n in zip(streams, before, strict=True))
            )
            own_redis.start()
            back_at = time.monotonic()
            heads = [len(stream.text) for stream in streams]
            await asyncio.gather(
                *(s.until(lambda s, n=n: len(s.text) >= n, 10) for s, n in zip(followed, heads, strict=True))
            )
            worst_return = max(worst_return, time.monotonic() - back_at)
        enough.set()
        await asyncio.wait_for(chatting, 10)
        record_property("slowest_return_s", worst_return)
        record_property("answers_meanwhile", len(answered))
        record_property("slowest_answer_s", max(answered))
        assert max(answered) < SLOWEST_S
        assert worst_return <= 5
        for stream in streams:
            await one.alice.cancel(stream.run_id)
        await all_ended([*streams, *followed])
        for stream, other in zip(streams, followed, strict=True):
            screen = Screen()
            screen.show(other.events)
            assert screen.text == stream.text
            assert screen.snapshots == 0
        assert one.server.errors == two.server.errors == []


async def chat_on(both: list[Worker], answered: list[float], enough: asyncio.Event) -> None:
    """One short answer after the other, from both; none may fail."""
    while not enough.is_set():
        for worker in both:
            began_at = time.monotonic()
            answer = await (await worker.alice.say("Hi", model="mock-3-0", stream=False)).ended()
            assert answer.status == 200, answer.body
            answered.append(time.monotonic() - began_at)


async def test_a_redis_that_hangs_adds_next_to_nothing(
    two_workers: TwoWorkers, upstream: Upstream, own_redis: RedisServer, record_property: Record
):
    quick = upstream.model(text("Hello"), finish(), usage(), done())
    going_on = upstream.model(text(*(f"{i:05} " for i in range(1000)), every=0.02), finish(), usage(), done())

    async def median_s(worker: Worker) -> float:
        took = []
        for _ in range(21):
            began_at = time.monotonic()
            answer = await (await worker.alice.say("Hi", model=quick, stream=False)).ended()
            assert answer.status == 200, answer.body
            took.append(time.monotonic() - began_at)
        return sorted(took)[10]

    async with two_workers() as (one, _):
        before = await median_s(one)
        stream = await one.alice.say("Hi", model=going_on)
        await stream.until(lambda s: s.text)
        own_redis.freeze()
        try:
            during = await median_s(one)
            length = len(stream.text)
            await stream.until(lambda s: len(s.text) > length + 300, 5)
            cancelled_at = time.monotonic()
            assert (await one.alice.cancel(stream.run_id)).status == 202
            await stream.ended()
            assert time.monotonic() - cancelled_at <= QUICK_S
        finally:
            own_redis.thaw()
        record_property("added_ms", (during - before) * 1000)
        assert during - before <= 0.1


async def test_a_rolling_restart_loses_nothing(two_workers: TwoWorkers, upstream: Upstream):
    short = upstream.model(tokens(size(20, 40), every=0.05), finish(), usage(), done())
    async with two_workers(drain_limit_s=10) as (one, two):
        for leaving, staying in ((one, two), (two, one)):
            streams = [await leaving.alice.say("Hi", model=short) for _ in range(size(10, 100))]
            await asyncio.gather(*(stream.until(lambda s: s.text) for stream in streams))
            phone = await leaving.door.connect("phone", leaving.token)
            leaving.server.send_signal(signal.SIGTERM)
            followed = [await staying.alice.follow(stream.run_id) for stream in streams]
            await all_ended([*streams, *followed], 15)
            assert await phone.close_code(15) == 1012
            await leaving.server.exited()
            for stream in (*streams, *followed):
                assert [end["type"] for end in stream.terminals] == ["run.completed"]
            assert {stream.text for stream in followed} == {stream.text for stream in streams}
            await leaving.server.start()
        assert one.server.errors == two.server.errors == []


async def test_one_that_only_follows_does_not_cut_its_followers_off_when_it_stops(
    two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model(tokens(40, every=0.05), finish(), usage(), done())
    async with two_workers(drain_limit_s=10) as (one, two):
        asked = await one.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        followed = await two.alice.follow(asked.run_id)
        await followed.until(lambda s: s.text)
        two.server.send_signal(signal.SIGTERM)
        await followed.ended()
        assert (followed.complete, followed.terminals[0]["type"]) == (True, "run.completed")
        assert followed.text == (await asked.ended()).text
        await two.server.exited()


@pytest.mark.long
async def test_who_followed_while_redis_was_away_counts_as_a_watcher_when_it_is_back(
    two_workers: TwoWorkers, upstream: Upstream, own_redis: RedisServer
):
    name = "when redis is back"
    model = upstream.model(text("half "), pause(name), text("done"), finish(), usage(), done())
    async with two_workers(detach_grace_s=3) as (one, two):
        asked = await one.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        own_redis.kill()
        followed = await two.alice.follow(asked.run_id)
        await followed.until(lambda s: s.text)
        own_redis.start()
        await asked.leave()
        waited_until = time.monotonic() + 6

        async def long_enough() -> bool:
            return time.monotonic() > waited_until

        await eventually(long_enough, within=10)
        assert not followed.terminals
        upstream.release(name)
        await followed.ended()
        assert (followed.text, followed.terminals[0]["type"]) == ("half done", "run.completed")
