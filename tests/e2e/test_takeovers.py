"""`kill -9` in the middle of answers: whoever is alive asks the model again, and each run ends whole, once."""

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import NewServer, Record, ServerIn, TwoWorkers
from tests.support.accounts import sign_up
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.server import serving
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, all_ended, batches, calling
from tests.support.upstream import ANSWER, Step, Upstream, done, finish, hang, pause, text, usage
from tests.support.workers import Worker

GOES_ON = {"continue_within_s": 300, "detach_grace_s": 60}
LEASE_S = 2
OWN_LEASE_S = 5
"""That of a server that is not told another."""
WHOLE = [f"{i:03} Grüße 😀 " for i in range(40)]


def cut_off_once(name: str) -> tuple[list[Step], list[Step]]:
    """An answer that is never finished, and the next time one that is."""
    return [text(*WHOLE[:20]), pause(name), hang()], [text(*WHOLE), finish(), usage(), done()]


async def followed_to_the_end(caller: Caller, screen: Screen, run_id: str, within: float = 20) -> Screen:
    """As a client that comes back by itself does."""
    async with asyncio.timeout(within):
        while not screen.terminals:
            back = await caller.follow(run_id, screen.position)
            await back.ended(within)
            screen.show(back.events)
    return screen


async def begun(caller: Caller, model: str, count: int) -> list[Exchange]:
    asked: list[Exchange] = []
    for some in batches(range(count), 20):
        started = [await caller.say("More?", model=model) for _ in some]
        await asyncio.gather(
            *(stream.until(lambda s: s.text.startswith("".join(WHOLE[:20])), 30) for stream in started)
        )
        asked += started
    return asked


async def is_whole(caller: Caller, run_id: str, screen: Screen) -> None:
    assert (screen.text, [end["type"] for end in screen.terminals]) == ("".join(WHOLE), ["run.completed"])
    stored = await caller.run(run_id)
    assert (stored["status"], stored["text"]) == ("completed", "".join(WHOLE))
    assert stored["usage"]["source"] == "estimated"


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_a_process_that_is_started_again_carries_on_what_it_had_begun(
    server_in: ServerIn, tmp_path: Path, upstream: Upstream, postgres: Databases, record_property: Record, store: str
):
    count = size(10, 200)
    url = await postgres.fresh() if store == "postgresql" else None
    model = upstream.model(*_scripts(count, f"started again {store}"))
    again = server_in(tmp_path, url, **GOES_ON)
    await sign_up(again, "alice")
    async with serving(again) as server:
        async with calling(server) as alice:
            asked = await begun(alice, model, count)
            killed_at = time.monotonic()
            await server.kill()
            await all_ended(asked)
        await server.start()
        async with calling(server) as alice:
            screens = [Screen() for _ in asked]
            for screen, stream in zip(screens, asked, strict=True):
                screen.show(stream.events)
            ends = [
                followed_to_the_end(alice, screen, stream.run_id) for screen, stream in zip(screens, asked, strict=True)
            ]
            await asyncio.gather(*ends)
            record_property("whole_after_s", whole_after_s := round(time.monotonic() - killed_at, 2))
            assert whole_after_s < OWN_LEASE_S + 3  # the last of them, and the start is in it
            for screen, stream in zip(screens, asked, strict=True):
                await is_whole(alice, stream.run_id, screen)
        assert len(upstream.seen(model)) == 2 * count


def _scripts(count: int, name: str) -> list[list[Step]]:
    cut, whole = cut_off_once(name)
    return [cut] * count + [whole] * count


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_followers_on_the_other_worker_read_on_when_one_is_killed(
    two_workers: TwoWorkers, upstream: Upstream, postgres: Databases, record_property: Record, store: str
):
    count = size(10, 200)
    url = await postgres.fresh() if store == "postgresql" else None
    model = upstream.model(*_scripts(count, f"taken over {store}"))
    async with two_workers(url, lease_s=LEASE_S, **GOES_ON) as (one, two):
        asked = await begun(one.alice, model, count)
        followed = [await two.alice.follow(stream.run_id) for stream in asked]
        await asyncio.gather(*(stream.until(lambda s: s.text, 30) for stream in followed))
        killed_at = time.monotonic()
        await one.server.kill()
        await all_ended(followed, LEASE_S + 20)
        pauses = sorted(stream.times[-1] - killed_at for stream in followed)
        p50, p99 = pauses[len(pauses) // 2], pauses[int(len(pauses) * 0.99)]
        record_property("pause_p50_p99_s", (round(p50, 2), round(p99, 2)))
        assert p99 < LEASE_S + 3  # to the end of the answer, even
        for stream in followed:
            screen = Screen()
            screen.show(stream.events)
            await is_whole(two.alice, stream.run_id, screen)
        assert len(upstream.seen(model)) == 2 * count
        assert two.server.errors == []


async def test_one_that_was_asleep_for_longer_than_the_lease_writes_and_says_nothing_more(
    two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model([text(*WHOLE[:20]), hang()], [text(*WHOLE), finish(), usage(), done()])
    async with two_workers(lease_s=LEASE_S, **GOES_ON) as (one, two):
        [asked] = await begun(one.alice, model, 1)
        followed = await two.alice.follow(asked.run_id)
        one.server.send_signal(signal.SIGSTOP)
        try:
            await followed.ended(LEASE_S + 15)
        finally:
            one.server.send_signal(signal.SIGCONT)
        await upstream.until(model, "closed", within=10)
        await asked.ended(10)
        screen = Screen()
        screen.show(asked.events)
        assert [end["type"] for end in screen.terminals] == ["run.completed"]
        await is_whole(two.alice, asked.run_id, screen)


async def test_a_run_whose_every_worker_dies_is_taken_over_twice(new_server: NewServer, upstream: Upstream):
    model = upstream.model([text("some "), hang()])
    async with serving(await new_server(**GOES_ON)) as server:
        run_id = ""
        for number in (1, 2, 3):
            async with calling(server) as alice:
                if not run_id:
                    asked = await alice.say("Hi", model=model)
                    await asked.until(lambda s: s.text)
                    run_id = asked.run_id
                await _saved(server.folder / "chat.db", run_id, number, "some ")
                await server.kill()
            await server.start()
        async with calling(server) as alice:
            screen = await followed_to_the_end(alice, Screen(), run_id)
            assert (screen.text, [end["type"] for end in screen.terminals]) == ("some ", ["run.interrupted"])
            used = (await alice.run(run_id))["usage"]
            assert (used["completion_tokens"], used["source"]) == (3 * 2, "estimated")
        assert len(upstream.seen(model)) == 3


async def _saved(database: Path, run_id: str, epoch: int, wanted: str) -> None:
    """By a checkpoint, which is what a process that is killed leaves behind."""

    async def so() -> bool:
        with closing(sqlite3.connect(database)) as connection:
            [row] = connection.execute(
                "SELECT r.epoch, r.status, m.content FROM runs r JOIN messages m ON m.id = r.message_id WHERE r.id = ?",
                (run_id,),
            )
        return row == (epoch, "streaming", wanted)

    await eventually(so, within=15)


async def test_a_json_caller_finds_the_answer_by_its_key(new_server: NewServer, upstream: Upstream):
    model = upstream.model([text("some "), hang()], ANSWER)
    async with serving(await new_server(**GOES_ON)) as server:
        async with calling(server) as alice:
            asked = await alice.say("Hi", model=model, stream=False, key="once")
            await upstream.until(model, "seen")
            await server.kill()
            await asked.ended()
        await server.start()
        async with calling(server) as alice:
            again = await (await alice.say("Hi", model=model, stream=False, key="once")).ended(20)
            assert (again.status, again.json["response"]) == (200, "Hello, world")


async def test_a_device_on_a_socket_reads_on_and_the_widget_shows_the_answer_when_it_is_loaded(
    two_workers: TwoWorkers, upstream: Upstream
):
    cut, whole = cut_off_once("on a socket")
    model = upstream.model(cut, [pause("asked anew"), *whole])
    async with two_workers(lease_s=LEASE_S, chatkit_server=True, **GOES_ON) as (one, two):
        [asked] = await begun(one.alice, model, 1)
        phone = await two.door.connect("phone", two.token)
        await phone.ask("run.follow", run_id=asked.run_id)
        await phone.until(lambda frame: "seq" in frame and frame["seq"] > 100)
        await one.server.kill()
        await upstream.until(model, "paused", 2, within=LEASE_S + 10)
        thread_id = asked.events[0]["thread_id"]
        assert await _shown_by_the_widget(two, thread_id) == ["More?", "".join(WHOLE[:20])]
        upstream.release("asked anew")
        screen = await phone.run_ended(asked.run_id, within=LEASE_S + 15)
        await is_whole(two.alice, asked.run_id, screen)
        assert screen.snapshots == 1
        assert await _shown_by_the_widget(two, thread_id) == ["More?", "".join(WHOLE)]


async def _shown_by_the_widget(worker: Worker, thread_id: str) -> list[str]:
    wanted = {"type": "threads.get_by_id", "params": {"thread_id": thread_id}, "metadata": {}}
    headers = {"Authorization": f"Bearer {worker.token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=worker.server.url) as page:
        loaded = (await page.post("/chatkit", content=json.dumps(wanted), headers=headers)).raise_for_status()
    return [item["content"][0]["text"] for item in loaded.json()["items"]["data"]]


async def test_what_an_attempt_before_the_last_had_told_is_not_taken_for_what_the_last_one_said(
    two_workers: TwoWorkers, upstream: Upstream, own_redis: RedisServer
):
    """Redis, which still has the one, was away for as long as the other went on."""
    model = upstream.model([text(*WHOLE[:20]), hang()], [text("Good "), hang()])
    async with two_workers(lease_s=LEASE_S, **GOES_ON) as (one, two):
        [asked] = await begun(one.alice, model, 1)
        screen = Screen()
        followed = await two.alice.follow(asked.run_id)
        await followed.until(lambda heard: heard.text == "".join(WHOLE[:20]))
        own_redis.freeze()
        await one.server.kill()
        await followed.until(lambda heard: heard.text == "Good ", LEASE_S + 20)
        screen.show(followed.events)
        await two.server.kill()
        own_redis.thaw()
        one.server.settings["CHATORCH_CONTINUE_WITHIN_S"] = "0"
        await one.server.start()
        async with calling(one.server) as alice:
            await followed_to_the_end(alice, screen, asked.run_id)
            assert (screen.text, [end["type"] for end in screen.terminals]) == ("Good ", ["run.interrupted"])
            assert (await alice.run(asked.run_id))["text"] == "Good "
