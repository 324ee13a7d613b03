"""Following a run that another process executes: as if it were executed here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatorch.domain.model.content import Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.run import (
    SILENCE,
    CancelReason,
    LastContent,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunInterrupted,
    RunStarted,
    TerminalEvent,
)
from chatorch.ports.run_log import RunLog
from tests.support.contents import text_in
from tests.support.eventually import eventually
from tests.support.redis_process import RedisProcess, processes
from tests.support.redis_server import RedisServer
from tests.support.sizes import size

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    async with processes(redis_server.url) as started:
        yield started


async def heard(log: RunLog, after: int = 0) -> list[RunEvent]:
    async with asyncio.timeout(10):
        return [event async for event in log.follow(RUN, after) if event is not SILENCE]


async def until_known(log: RunLog, text: str) -> None:
    async def known() -> bool:
        return text_in(log, RUN) == text

    await eventually(known)


async def test_a_follower_elsewhere_hears_the_start_all_text_and_the_end_in_order(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "Hello ")
    following = asyncio.ensure_future(heard(elsewhere.log))
    await until_known(elsewhere.log, "Hello ")
    here.log.append(RUN, "world")
    here.log.end(RUN, RunCancelled(13, CancelReason.USER))

    assert await following == [
        STARTED,
        PartDelta(7, "Hello "),
        PartDelta(12, "world"),
        RunCancelled(13, CancelReason.USER),
    ]
    assert text_in(elsewhere.log, RUN) is None


@pytest.mark.parametrize(
    "terminal",
    [
        RunCompleted(5, MessageId("msg_1"), "stop", Usage(1, 2, 3, UsageSource.PROVIDER)),
        RunFailed(5, "upstream_error", "The provider failed.", retryable=True, retry_after=2.5),
        RunCancelled(5, CancelReason.DETACHED),
        RunInterrupted(5),
    ],
    ids=lambda terminal: type(terminal).__name__,
)
async def test_every_end_arrives_as_it_was_told_also_for_who_comes_after_it(
    two: list[RedisProcess], terminal: TerminalEvent
):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    here.log.end(RUN, terminal)

    assert await heard(elsewhere.log, after=2) == [PartDelta(4, "bc"), terminal]
    assert await heard(elsewhere.log, after=5) == []


async def test_a_follower_elsewhere_that_is_ahead_of_the_copy_waits_for_it(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    following = elsewhere.log.follow(RUN, 5)

    async with asyncio.timeout(5):
        assert await anext(following) is SILENCE  # the copy is there, and a moment behind
        here.log.append(RUN, "def")
        while (event := await anext(following)) is SILENCE:
            pass
    assert event == PartDelta(7, "ef")
    await following.aclose()


async def test_a_run_that_is_abandoned_ends_elsewhere_without_a_terminal_event(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(elsewhere.log))
    await until_known(elsewhere.log, "abc")
    here.log.abandon(RUN)

    assert await following == [STARTED, PartDelta(4, "abc")]
    assert text_in(elsewhere.log, RUN) is None


async def test_what_is_followed_here_is_not_written_here(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(elsewhere.log))
    await until_known(elsewhere.log, "abc")
    elsewhere.log.append(RUN, "not mine")
    elsewhere.log.end(RUN, RunInterrupted(5))
    elsewhere.log.abandon(RUN)
    here.log.end(RUN, RunInterrupted(5))

    assert await following == [STARTED, PartDelta(4, "abc"), RunInterrupted(5)]


async def test_silence_is_noticed_elsewhere(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    following = elsewhere.log.follow(RUN, 1)

    async with asyncio.timeout(5):
        assert await anext(following) is SILENCE
    await following.aclose()


async def test_text_that_cannot_be_told_sends_followers_elsewhere_to_the_row_and_nobody_else(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(elsewhere.log))
    await until_known(elsewhere.log, "abc")
    here.log.append(RUN, "\ud800")
    here.log.open(RunId("run_2"), 1, STARTED)
    here.log.append(RunId("run_2"), "fine")

    assert await following == [STARTED, PartDelta(4, "abc")]
    assert text_in(here.log, RUN) == "abc\ud800"

    async def told() -> bool:
        return await elsewhere.run_control.last_content([RUN, RunId("run_2")]) == {
            "run_2": LastContent(1, Content.of("fine"))
        }

    await eventually(told)


async def test_a_run_nobody_knows_of_has_nothing_to_say(two: list[RedisProcess]):
    _, elsewhere = two

    assert await heard(elsewhere.log) == []
    assert elsewhere.log._replicas._replicas == {}


async def test_who_follows_before_the_first_word_has_arrived_still_hears_it(two: list[RedisProcess]):
    here, elsewhere = two
    following = asyncio.ensure_future(heard(elsewhere.log))
    await asyncio.sleep(0)
    assert await elsewhere.link.confirmed(f"{elsewhere.link.prefix}run:{RUN}")
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    here.log.end(RUN, RunInterrupted(5))

    assert await following == [STARTED, PartDelta(4, "abc"), RunInterrupted(5)]


async def test_nothing_stays_of_a_run_that_nobody_follows_any_more(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, STARTED)
    here.log.append(RUN, "abc")
    following = elsewhere.log.follow(RUN, 0)
    async with asyncio.timeout(5):
        await anext(following)
    await following.aclose()

    async def dropped() -> bool:
        return text_in(elsewhere.log, RUN) is None

    await eventually(dropped)
    assert elsewhere.log._replicas._replicas == {}
    here.log.append(RUN, "def")
    here.log.end(RUN, RunInterrupted(8))

    assert await heard(elsewhere.log, after=2) == [PartDelta(7, "bcdef"), RunInterrupted(8)]
    assert here.log._publisher._runs == {}


async def test_a_late_follower_of_a_long_run_gets_all_text_though_its_log_is_short(redis_server: RedisServer):
    async with processes(redis_server.url, rebase_every=8) as [here, elsewhere]:
        here.log.open(RUN, 1, STARTED)
        pieces = [f"piece {number}; " for number in range(100)]
        for piece in pieces:
            here.log.append(RUN, piece)
            await here.log._publisher.publish()
        [entries] = await here.link.ask(("XRANGE", f"{here.link.prefix}run:{RUN}:log", "-", "+"))
        assert len(entries) <= 9
        here.log.end(RUN, RunInterrupted(9999))

        events = await heard(elsewhere.log)

        assert "".join(event.text for event in events[1:-1]) == "".join(pieces)
        assert await elsewhere.run_control.last_content([RUN]) == {RUN: LastContent(1, Content.of("".join(pieces)))}


async def come_and_go(log: RunLog, known: str, leave_after: int) -> tuple[str, int]:
    """A client that has some text already, leaves after a few events and comes back to where it was, until the end.

    Returns all text that it has then, and the position of the end.
    """
    position = 1 + len(known)
    while True:
        left = leave_after
        await asyncio.sleep(0)
        async with aclosing(log.follow(RUN, position)) as following:
            async for event in following:
                match event:
                    case Snapshot():
                        known = event.text
                    case PartDelta():
                        assert event.seq - len(event.text) == position, "no gap, no repeat"
                        known += event.text
                    case RunInterrupted():
                        return known, event.seq
                    case _:
                        continue
                position = event.seq
                left -= 1
                if not left:
                    break


@settings(max_examples=size(25, 300), deadline=None)
@given(data=st.data())
def test_whatever_is_shipped_when_and_whoever_comes_and_goes_the_text_is_whole(
    redis_server: RedisServer, data: st.DataObject
):
    pieces = data.draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20))
    publishes = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    joins = data.draw(st.lists(st.tuples(st.integers(0, len(pieces)), st.integers(0, 100)), max_size=4))
    leave_after = data.draw(st.integers(1, 6))
    whole = "".join(pieces)

    async def scenario() -> None:
        async with processes(redis_server.url, rebase_every=3, silence_s=2.0) as [here, elsewhere]:
            here.log.open(RUN, 1, STARTED)
            followers = []
            for number, (piece, publish) in enumerate([*zip(pieces, publishes, strict=True), ("", False)]):
                for at, cut in joins:
                    if at == number:
                        coming = come_and_go(elsewhere.log, whole[:cut], leave_after)
                        followers.append(asyncio.ensure_future(coming))
                await asyncio.sleep(0)
                if piece:
                    here.log.append(RUN, piece)
                if publish:
                    await here.log._publisher.publish()
            here.log.end(RUN, RunInterrupted(len(whole) + 2))
            async with asyncio.timeout(10):
                assert await asyncio.gather(*followers) == [(whole, len(whole) + 2)] * len(followers)

    asyncio.run(scenario())
