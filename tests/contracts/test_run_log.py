"""What every run log keeps to: replay, then live, at each follower's own pace."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.memory.run_log import MemoryRunLog
from chatorch.domain.model.content import PIECE_CHARS, Content, PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import (
    SILENCE,
    CancelReason,
    RunCancelled,
    RunEvent,
    RunInterrupted,
    RunStarted,
)
from chatorch.ports.run_log import RunLog
from tests.support.contents import text_in
from tests.support.redis_process import processes

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")


@pytest.fixture(params=["memory", "redis"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[RunLog]:
    if request.param == "memory":
        yield MemoryRunLog(silence_s=0.02)
        return
    async with processes(request.getfixturevalue("redis_server").url, 1) as [process]:
        yield process.log


async def heard(log: RunLog, after: int = 0) -> list[RunEvent]:
    async with asyncio.timeout(5):
        return [event async for event in log.follow(RUN, after) if event is not SILENCE]


async def test_a_follower_hears_the_start_all_text_and_the_end_in_order(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "Hello ")
    following = asyncio.ensure_future(heard(log))
    await asyncio.sleep(0)
    log.append(RUN, "world")
    await asyncio.sleep(0)
    log.end(RUN, RunCancelled(13, CancelReason.USER))

    events = await following

    assert events[0] == STARTED
    assert "".join(e.text for e in events[1:-1]) == "Hello world"
    assert events[-1] == RunCancelled(13, CancelReason.USER)


async def test_a_resume_inside_a_piece_sends_the_rest_of_it(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "Hello")
    following = asyncio.ensure_future(heard(log, after=3))
    await asyncio.sleep(0)
    log.end(RUN, RunInterrupted(7))

    assert await following == [PartDelta(6, "llo"), RunInterrupted(7)]


async def test_pieces_that_a_follower_missed_come_as_one(log: RunLog):
    log.open(RUN, 1, STARTED)
    for piece in ("a", "bc", "d"):
        log.append(RUN, piece)

    following = log.follow(RUN, 1)

    assert await anext(following) == PartDelta(5, "abcd")
    await following.aclose()


async def test_a_long_text_comes_in_pieces_from_any_position_while_it_grows(log: RunLog):
    long = "😀é\n" * 3000
    log.open(RUN, 1, STARTED)
    log.append(RUN, long[:-2])
    for after in (1, 2, PIECE_CHARS, PIECE_CHARS + 1, PIECE_CHARS + 2, len(long) - PIECE_CHARS, len(long) - 2):
        told, position = log.follow(RUN, after), after
        while position < len(long) - 1:
            event = await anext(told)
            assert isinstance(event, PartDelta)
            assert 0 < len(event.text) <= PIECE_CHARS
            assert event.text == long[position - 1 : event.seq - 1]
            position = event.seq
        await told.aclose()
    told = log.follow(RUN, 1)
    first = await anext(told)
    log.append(RUN, long[-2:])
    log.end(RUN, RunInterrupted(len(long) + 2))
    rest = [event async for event in told]

    assert first.text + "".join(event.text for event in rest[:-1]) == long
    ahead = await heard(log, after=len(long) + 9)
    assert [type(event) for event in ahead[:2]] == [Snapshot, PartDelta]
    assert "".join(event.text for event in ahead[:-1]) == long


async def test_followers_at_the_same_place_get_the_same_object(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "abc")
    one, two = log.follow(RUN, 1), log.follow(RUN, 1)

    assert await anext(one) is await anext(two)

    await one.aclose()
    await two.aclose()


async def test_so_they_do_of_parts_and_of_the_end(log: RunLog):
    log.open(RUN, 1, STARTED)
    following = [log.follow(RUN, 0) for _ in range(3)]
    log.start_part(RUN, PartKind.SOURCE, {"title": "a" * 1000})
    log.end_part(RUN)
    log.end(RUN, RunInterrupted(4))

    for _ in range(4):
        one, *others = [await anext(events) for events in following]
        assert all(event is one for event in others)


async def test_a_follower_ahead_of_the_text_waits_until_it_is_passed(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(log, after=6))
    await asyncio.sleep(0)
    log.append(RUN, "de")
    await asyncio.sleep(0)
    log.append(RUN, "fg")
    log.end(RUN, RunInterrupted(9))

    assert await following == [PartDelta(8, "fg"), RunInterrupted(9)]


async def test_a_follower_ahead_of_all_text_gets_a_snapshot_at_the_end(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(log, after=50))
    await asyncio.sleep(0)
    log.end(RUN, RunInterrupted(5))

    assert await following == [Snapshot(4, Content.of("abc")), RunInterrupted(5)]


async def test_silence_is_noticed(log: RunLog):
    log.open(RUN, 1, STARTED)
    following = log.follow(RUN, 1)

    async with asyncio.timeout(5):
        assert await anext(following) is SILENCE
    await following.aclose()


async def test_an_abandoned_log_ends_without_a_terminal_event(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "abc")
    following = asyncio.ensure_future(heard(log))
    await asyncio.sleep(0)
    log.abandon(RUN)

    assert await following == [STARTED, PartDelta(4, "abc")]
    assert text_in(log, RUN) is None


async def test_a_log_that_is_not_here_has_nothing_to_say_and_takes_nothing(log: RunLog):
    log.append(RUN, "lost")
    log.end(RUN, RunInterrupted(2))
    log.abandon(RUN)

    assert text_in(log, RUN) is None
    assert await heard(log) == []


async def test_who_comes_right_after_the_end_still_hears_it_but_the_run_is_live_no_more(log: RunLog):
    log.open(RUN, 1, STARTED)
    log.append(RUN, "abc")
    log.end(RUN, RunInterrupted(5))
    log.append(RUN, "too late")

    assert await heard(log, after=1) == [PartDelta(4, "abc"), RunInterrupted(5)]
    assert text_in(log, RUN) is None


@given(
    pieces=st.lists(st.text(min_size=1, max_size=8), max_size=30),
    cut=st.integers(min_value=0, max_value=250),
    reads=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_text_before_any_cut_and_text_after_it_are_the_whole(pieces: list[str], cut: int, reads: list[bool]):
    async def scenario() -> None:
        log = MemoryRunLog()
        log.open(RUN, 1, STARTED)
        for piece, read in zip(pieces, reads, strict=False):
            log.append(RUN, piece)
            if read:
                text_in(log, RUN)
        whole = "".join(pieces)
        place = min(cut, len(whole))
        following = asyncio.ensure_future(heard(log, after=1 + place))
        await asyncio.sleep(0)
        log.end(RUN, RunInterrupted(len(whole) + 2))
        events = await following
        assert whole[:place] + "".join(e.text for e in events[:-1]) == whole
        assert [e.seq for e in events] == sorted(e.seq for e in events)

    asyncio.run(scenario())
