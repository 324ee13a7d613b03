"""What every run_control keeps to, and what it does where there are others to reach."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.memory.run_control import MemoryRunControl
from chatorch.domain.model.content import Content, PartDelta
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.run import SILENCE, LastContent, RunStarted
from chatorch.ports.run_control import CancelCall, RunControl
from tests.support.contents import text_in
from tests.support.eventually import eventually
from tests.support.redis_process import RedisProcess, processes
from tests.support.redis_server import RedisServer

RUN, OTHER = RunId("run_1"), RunId("run_2")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")


@pytest.fixture(params=["memory", "redis"])
async def run_control(request: pytest.FixtureRequest) -> AsyncIterator[RunControl]:
    if request.param == "memory":
        yield MemoryRunControl()
        return
    async with processes(request.getfixturevalue("redis_server").url, 1) as [process]:
        yield process.run_control


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    async with processes(redis_server.url) as started:
        yield started


async def test_a_process_that_is_alone_sees_no_watchers_and_no_last_content(run_control: RunControl):
    assert await run_control.watched([RUN, OTHER]) == frozenset()
    assert await run_control.watched([]) == frozenset()
    assert await run_control.last_content([RUN]) == {}


async def test_a_cancel_of_its_own_does_not_come_back(run_control: RunControl):
    cancelled = run_control.cancelled()
    waiting = asyncio.ensure_future(anext(cancelled))
    run_control.cancel(CancelCall(RUN))
    run_control.fence(RUN, 2)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.2)
    await cancelled.aclose()


async def test_a_cancel_reaches_every_other_process(two: list[RedisProcess]):
    one, other = two
    cancelled = other.run_control.cancelled()
    waiting = asyncio.ensure_future(anext(cancelled))
    await asyncio.sleep(0)
    assert await other.link.confirmed(f"{other.link.prefix}cancel")
    one.run_control.cancel(CancelCall(RUN, if_unfollowed=True))

    assert await asyncio.wait_for(waiting, 5) == CancelCall(RUN, if_unfollowed=True)
    await cancelled.aclose()


async def test_a_run_is_watched_while_it_is_followed_elsewhere_and_not_for_long_afterwards(two: list[RedisProcess]):
    executor, other = two
    executor.log.open(RUN, 1, STARTED)
    following = other.log.follow(RUN, 0)
    async with asyncio.timeout(5):
        assert await anext(following) == STARTED

    assert await executor.run_control.watched([RUN, OTHER]) == {RUN}
    await following.aclose()

    async def unwatched() -> bool:
        return await executor.run_control.watched([RUN]) == frozenset()

    await eventually(unwatched)


async def test_a_run_of_which_nothing_is_told_yet_is_watched_by_whoever_asks_for_it_again_and_again(
    two: list[RedisProcess],
):
    """One that was taken over says nothing before the model does."""
    executor, other = two
    executor.run_control.fence(RUN, 1)
    for _ in range(2):
        assert [event async for event in other.log.follow(RUN, 5)] == []
        await other.link.ask(("PING",))  # whatever was on its way before has arrived
        assert await executor.run_control.watched([RUN]) == {RUN}


async def test_followers_here_are_not_counted_as_watchers_elsewhere(two: list[RedisProcess]):
    executor, _ = two
    executor.log.open(RUN, 1, STARTED)
    following = executor.log.follow(RUN, 0)
    assert await anext(following) == STARTED

    assert await executor.run_control.watched([RUN]) == frozenset()
    await following.aclose()


async def test_text_of_a_dead_process_is_its_last_content(two: list[RedisProcess]):
    executor, other = two
    executor.log.open(RUN, 1, STARTED)
    for piece in ("Hello", " ", "world 🌍"):
        executor.log.append(RUN, piece)
        await executor.log._publisher.publish()
    await executor.die()

    assert await other.run_control.last_content([OTHER, RUN]) == {RUN: LastContent(1, Content.of("Hello world 🌍"))}


async def test_nobody_hears_a_fenced_run_any_more(two: list[RedisProcess]):
    zombie, other = two
    zombie.log.open(RUN, 1, STARTED)
    zombie.log.append(RUN, "before")
    heard = []

    async def listen() -> None:
        heard.extend([event async for event in other.log.follow(RUN, 0) if event is not SILENCE])

    listening = asyncio.ensure_future(listen())

    async def followed() -> bool:
        return text_in(other.log, RUN) == "before"

    await eventually(followed)
    other.run_control.fence(RUN, 2)
    await asyncio.wait_for(listening, 5)
    assert heard == [STARTED, PartDelta(7, "before")]

    zombie.log.append(RUN, " too late")
    await zombie.log._publisher.publish()
    await other.link.ask(("PING",))

    assert await other.run_control.last_content([RUN]) == {}
    assert [event async for event in other.log.follow(RUN, 0)] == []
    [[(entry, _)]] = await other.link.ask(("XRANGE", f"{other.link.prefix}run:{RUN}:log", "-", "+"))
    assert entry.startswith(b"2-")
    assert text_in(zombie.log, RUN) == "before too late", "its own followers hear of it from the checkpoint"
