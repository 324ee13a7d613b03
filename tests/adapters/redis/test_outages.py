"""Redis killed, started empty, or stopped in its tracks: whoever executes a run goes on, and others catch up."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.redis.log_publisher import MOST_KEPT, MOST_KEPT_CHARS
from chatorch.domain.model.content import Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import Unavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import Announcement, ClientId, Device, RunBegan
from chatorch.domain.model.run import SILENCE, LastContent, RunInterrupted, RunStarted
from chatorch.ports.run_control import CancelCall
from chatorch.ports.run_log import RunLog
from tests.support.contents import text_in
from tests.support.eventually import eventually
from tests.support.fakes import START
from tests.support.logged import logged
from tests.support.redis_process import RedisProcess, processes
from tests.support.redis_server import RedisServer
from tests.support.sizes import size

RUN, OTHER = RunId("run_1"), RunId("run_2")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")
ANN = UserId("usr_ann")
PHONE, TABLET = Device(ANN, ClientId("phone")), Device(ANN, ClientId("tablet"))
BEGAN = RunBegan(RUN, STARTED)
NEWS = Announcement("news", START)


@pytest.fixture
async def two(own_redis: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    async with processes(own_redis.url) as started:
        yield started


async def text_of(log: RunLog, run_id: RunId = RUN) -> str:
    """All text that a follower from the start has at the end."""
    text = ""
    async for event in log.follow(run_id, 0):
        match event:
            case PartDelta():
                text += event.text
            case Snapshot():
                text = event.text
    return text


async def until_known(log: RunLog, text: str, within: float = 5.0) -> None:
    async def known() -> bool:
        return text_in(log, RUN) == text

    await eventually(known, within)


@pytest.mark.soak
async def test_killed_and_started_empty_again_and_again_a_follower_elsewhere_misses_nothing(
    own_redis: RedisServer, two: list[RedisProcess]
):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    whole = ""
    following = asyncio.ensure_future(text_of(elsewhere.log))
    local = asyncio.ensure_future(text_of(here.log))

    async def say(count: int) -> str:
        said = ""
        for number in range(count):
            piece = f"{number} "
            here.log.append(RUN, piece)
            said += piece
            await asyncio.sleep(0.002)  # as a model says it
        return said

    for _ in range(size(3, 20)):
        whole += await say(20)
        own_redis.kill()
        whole += await say(20)
        await here.until(up=False)
        assert text_in(here.log, RUN) == whole
        whole += await say(5)
        own_redis.start()
        await until_known(elsewhere.log, whole)
    whole += await say(20)
    own_redis.kill()
    here.log.end(RUN, RunInterrupted(len(whole) + 2))
    assert await asyncio.wait_for(local, 5) == whole
    own_redis.start()

    assert await asyncio.wait_for(following, 5) == whole


async def test_many_followed_runs_are_all_whole_when_redis_is_back(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    runs = [RunId(f"run_{number}") for number in range(size(250, 1000))]
    for run_id in runs:
        here.log.open(run_id, 1, STARTED)
        here.log.append(run_id, "before ")
    following = [asyncio.ensure_future(text_of(elsewhere.log, run_id)) for run_id in runs]

    async def known(text: str) -> bool:
        return all(text_in(elsewhere.log, run_id) == text for run_id in runs)

    await eventually(lambda: known("before "), within=10)
    own_redis.kill()
    await here.until(up=False)
    await elsewhere.until(up=False)
    for run_id in runs:
        here.log.append(run_id, "meanwhile")
    own_redis.start()
    await elsewhere.until(up=True)
    await eventually(lambda: known("before meanwhile"), within=5)
    for run_id in runs:
        here.log.end(run_id, RunInterrupted(18))
    assert await asyncio.wait_for(asyncio.gather(*following), 10) == ["before meanwhile"] * len(runs)


async def test_more_commands_at_once_than_there_are_connections_all_have_their_turn(two: list[RedisProcess]):
    here, _ = two
    answers = await asyncio.gather(*(here.link.ask(("ECHO", str(number))) for number in range(1000)))
    assert answers == [[str(number).encode()] for number in range(1000)]


@pytest.mark.soak
async def test_stopped_in_its_tracks_it_holds_up_nobody(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "before ")
    following = asyncio.ensure_future(text_of(elsewhere.log))
    await until_known(elsewhere.log, "before ")
    own_redis.freeze()

    local = asyncio.ensure_future(text_of(here.log))
    slowest = 0.0
    for _ in range(100):
        began = time.perf_counter()
        here.log.append(RUN, "x")
        here.run_control.cancel(CancelCall(RUN))
        here.run_control.fence(OTHER, 2)
        here.connections.send(ANN, BEGAN)
        slowest = max(slowest, time.perf_counter() - began)
        await asyncio.sleep(0)
    assert slowest < 0.1

    async def within(seconds: float, asked) -> object:
        async with asyncio.timeout(seconds):
            return await asked

    assert await within(0.7, here.run_control.watched([RUN, OTHER])) == {RUN, OTHER}
    assert await within(1.3, here.run_control.last_content([RUN])) == {}
    assert await within(1.3, here.connections.count()) == 0
    with pytest.raises(Unavailable):
        await within(2.5, here.connections.broadcast(NEWS))
    await here.until(up=False, within=2.5)
    await elsewhere.until(up=False, within=2.5)
    assert await within(0.1, here.run_control.watched([RUN])) == {RUN}
    assert await within(0.1, here.connections.count()) == 0
    assert await within(0.1, text_of(elsewhere.log, OTHER)) == "", "nobody waits for what cannot come"
    here.log.end(RUN, RunInterrupted(109))
    assert await within(1.0, local) == "before " + 100 * "x"
    assert not following.done()

    own_redis.thaw()

    assert await within(5.0, following) == "before " + 100 * "x"


async def test_a_run_that_nobody_could_be_told_of_is_told_when_redis_is_there(own_redis: RedisServer):
    own_redis.kill()
    async with processes(own_redis.url) as [here, elsewhere]:
        assert not here.link.up
        here.log.open(RUN, 1, STARTED)
        here.log.append(RUN, "all of it")
        here.log.end(RUN, RunInterrupted(11))
        assert await text_of(here.log) == "all of it"
        assert await text_of(elsewhere.log) == ""
        own_redis.start()
        await elsewhere.until(up=True)

        async def told() -> bool:
            return await text_of(elsewhere.log) == "all of it"

        await eventually(told)


async def test_what_waits_for_redis_is_bounded(own_redis: RedisServer):
    own_redis.kill()
    async with processes(own_redis.url, 1) as [process]:
        for number in range(MOST_KEPT + 50):
            run_id = RunId(f"run_{number}")
            process.log.open(run_id, 1, STARTED)
            process.log.append(run_id, "text")
            process.log.end(run_id, RunInterrupted(6))
        assert len(process.log._publisher._runs) == MOST_KEPT
        own_redis.start()

        async def published() -> bool:
            return not process.log._publisher._runs

        await eventually(published)
        newest, oldest = RunId(f"run_{MOST_KEPT + 49}"), RunId("run_0")
        assert await process.run_control.last_content([newest, oldest]) == {newest: LastContent(1, Content.of("text"))}


async def test_the_text_that_waits_for_redis_is_bounded(own_redis: RedisServer):
    own_redis.kill()
    text = "x" * (MOST_KEPT_CHARS // 10)
    async with processes(own_redis.url, 1) as [process]:
        for number in range(25):
            run_id = RunId(f"run_{number}")
            process.log.open(run_id, 1, STARTED)
            process.log.append(run_id, text)
            process.log.end(run_id, RunInterrupted(len(text) + 2))
        assert list(process.log._publisher._runs) == [f"run_{number}" for number in range(15, 25)]


async def test_in_a_full_redis_nobody_is_taken_to_be_gone(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "before ")
    following = asyncio.ensure_future(text_of(elsewhere.log))
    await until_known(elsewhere.log, "before ")
    await here.link.ask(("CONFIG", "SET", "maxmemory", "1"))
    here.log.append(RUN, "meanwhile ")
    await here.link.ask(("DEL", f"{here.link.prefix}run:{RUN}:watch"))

    assert await here.run_control.watched([RUN, OTHER]) == {RUN, OTHER}

    await here.link.ask(("CONFIG", "SET", "maxmemory", "0"))
    here.log.append(RUN, "after")
    here.log.end(RUN, RunInterrupted(25))
    assert await asyncio.wait_for(following, 5) == "before meanwhile after"


async def test_a_run_is_fenced_as_soon_as_redis_is_back(own_redis: RedisServer, two: list[RedisProcess]):
    zombie, other = two
    own_redis.kill()
    await other.until(up=False)
    other.run_control.fence(RUN, 2)
    own_redis.start()
    await other.until(up=True)

    async def fenced() -> bool:
        [entries] = await other.link.ask(("XLEN", f"{other.link.prefix}run:{RUN}:log"))
        return entries == 1

    await eventually(fenced)
    await zombie.until(up=True)
    zombie.log.open(RUN, 1, STARTED)
    zombie.log.append(RUN, "late")
    await zombie.log._publisher.publish()
    assert await other.run_control.last_content([RUN]) == {}
    assert zombie.log._publisher._runs == {}


async def test_a_loss_and_a_return_are_logged_once_each(own_redis: RedisServer):
    with logged() as lines:
        async with processes(own_redis.url, 1) as [process]:
            own_redis.kill()
            await process.until(up=False)
            tries = 0

            async def tried_for_long() -> bool:
                nonlocal tries
                tries += 1
                process.connections.send(ANN, BEGAN)
                return await process.connections.count() == 0 and tries > 20

            await eventually(tried_for_long, every=0.05)
            own_redis.start()
            await process.until(up=True)
    assert [line["event"] for line in lines.lines] == ["redis_lost", "redis_back"]


async def test_followers_of_runs_elsewhere_hear_silence_meanwhile(own_redis: RedisServer, two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    following = elsewhere.log.follow(RUN, 1)
    async with asyncio.timeout(5):
        assert await anext(following) is SILENCE
        own_redis.kill()
        await elsewhere.until(up=False)
        assert await anext(following) is SILENCE
        own_redis.start()
        here.log.append(RUN, "back")
        while (event := await anext(following)) is SILENCE:
            pass
    assert event == PartDelta(5, "back")
    await following.aclose()
