"""Parts through Redis: who follows elsewhere has exactly what was said, whatever Redis lost and whenever they came."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from chatorch.adapters.redis.entries import Entry, Head, decode_entry, encode, entry_of
from chatorch.domain.model.content import START, Content, Draft, PartDelta, PartEnded, PartStarted, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.run import (
    EPOCH_SPAN,
    SILENCE,
    CancelReason,
    LastContent,
    RunCancelled,
    RunEvent,
    RunStarted,
    TerminalEvent,
)
from chatorch.ports.run_log import RunLog
from tests.support.eventually import eventually
from tests.support.parts import ANSWER, any_content
from tests.support.redis_process import RedisProcess, processes
from tests.support.redis_server import RedisServer
from tests.support.sizes import size

RUN = RunId("run_1")


def started(epoch: int = 1) -> RunStarted:
    return RunStarted((epoch - 1) * EPOCH_SPAN + START, ThreadId("thr_1"), MessageId("msg_1"), "a-model")


@pytest.fixture
async def two(redis_server: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    """A base is written every three entries, and those before it are trimmed."""
    async with processes(redis_server.url, rebase_every=3, silence_s=2.0) as both:
        yield both


async def heard(log: RunLog, after: int = 0, run_id: RunId = RUN) -> list[RunEvent]:
    async with asyncio.timeout(10):
        return [event async for event in log.follow(run_id, after) if event is not SILENCE]


def write(log: RunLog, event: RunEvent, run_id: RunId = RUN) -> None:
    match event:
        case PartDelta():
            log.append(run_id, event.text)
        case PartStarted():
            log.start_part(run_id, event.part.kind, event.part.head)
        case PartEnded():
            log.end_part(run_id, event.part.result)


def folded(events: list[RunEvent], before: Content | None = None) -> Content:
    """As a client, gaps and repeats failing: the content after all events but the end."""
    draft = Draft(before, 0)
    for event in events:
        if isinstance(event, RunStarted | RunCancelled):
            continue
        if not isinstance(event, Snapshot):
            begins = event.seq - (len(event.text) if isinstance(event, PartDelta) else 1)
            assert begins == draft.tip, (event, draft.tip)
        draft.apply(event)
    return draft.content()


async def known(process: RedisProcess, content: Content, run_id: RunId = RUN) -> None:
    async def there() -> bool:
        return process.log.content(run_id) == content

    await eventually(there)


async def test_whatever_is_shipped_when_all_who_come_anywhere_have_the_same_parts(two: list[RedisProcess]):
    chance = random.Random(5)
    here, elsewhere = two
    for number in range(size(12, 150)):
        run_id, content = RunId(f"run_{number}"), any_content(chance)
        here.log.open(run_id, 1, started())
        cuts, followers = [], []
        for event in [None, *content.since(START)]:
            if event is not None:
                write(here.log, event, run_id)
            if chance.random() < 0.5:
                await here.log._publisher.publish()
            if chance.random() < 0.3:
                cut = chance.randint(START, content.tip)
                cuts.append(cut)
                followers.append(asyncio.ensure_future(heard(elsewhere.log, cut, run_id)))
                await asyncio.sleep(0)
        end = RunCancelled(content.tip + 1, CancelReason.USER)
        here.log.end(run_id, end)
        cuts += [START, chance.randint(START, content.tip)]
        followers += [asyncio.ensure_future(heard(elsewhere.log, cut, run_id)) for cut in cuts[-2:]]
        for cut, told in zip(cuts, await asyncio.gather(*followers), strict=True):
            assert (folded(told, content.upto(cut)), told[-1]) == (content, end), (content, cut)
        assert await elsewhere.run_control.last_content([run_id]) == {run_id: LastContent(1, content)}


async def test_a_replica_replays_parts_from_every_position_while_the_run_lives(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, started())
    for event in ANSWER.upto(20).since(START):
        write(here.log, event)
        await here.log._publisher.publish()
    following = asyncio.ensure_future(heard(elsewhere.log))
    await known(elsewhere, ANSWER.upto(20))
    waiting = [asyncio.ensure_future(heard(elsewhere.log, cut)) for cut in range(START, 25)]
    for event in ANSWER.since(20):
        write(here.log, event)
    end = RunCancelled(ANSWER.tip + 1, CancelReason.USER)
    here.log.end(RUN, end)
    assert folded(await following) == ANSWER
    for cut, told in zip(range(START, 25), await asyncio.gather(*waiting), strict=True):
        assert folded(told, ANSWER.upto(cut)) == ANSWER
        assert told[-1] == end


async def test_a_base_that_redis_lost_comes_again_with_all_parts(two: list[RedisProcess]):
    here, elsewhere = two
    here.log.open(RUN, 1, started())
    for event in ANSWER.upto(20).since(START):
        write(here.log, event)
    await here.log._publisher.publish()
    await here.link.ask(("DEL", f"{here.link.prefix}run:{RUN}:base"), ("DEL", f"{here.link.prefix}run:{RUN}:log"))
    for event in ANSWER.since(20):
        write(here.log, event)
    await here.log._publisher.publish()

    async def whole() -> bool:
        return await elsewhere.run_control.last_content([RUN]) == {RUN: LastContent(1, ANSWER)}

    await eventually(whole)
    following = asyncio.ensure_future(heard(elsewhere.log))
    await known(elsewhere, ANSWER)
    here.log.end(RUN, RunCancelled(ANSWER.tip + 1, CancelReason.USER))
    assert folded(await following) == ANSWER


async def test_a_redis_that_came_back_empty_gets_all_parts_again(own_redis: RedisServer):
    async with processes(own_redis.url, silence_s=2.0, look_s=0.05) as [here, elsewhere]:
        here.log.open(RUN, 1, started())
        for event in ANSWER.upto(12).since(START):
            write(here.log, event)
        following = asyncio.ensure_future(heard(elsewhere.log))
        await known(elsewhere, ANSWER.upto(12))
        own_redis.kill()
        await asyncio.gather(here.until(up=False), elsewhere.until(up=False))
        for event in ANSWER.upto(25).since(12):
            write(here.log, event)
        own_redis.start()
        await asyncio.gather(here.until(up=True, within=10), elsewhere.until(up=True, within=10))
        for event in ANSWER.since(25):
            write(here.log, event)
        await known(elsewhere, ANSWER)
        here.log.end(RUN, RunCancelled(ANSWER.tip + 1, CancelReason.USER))
        assert folded(await following) == ANSWER


async def test_a_run_of_the_second_epoch_tells_elsewhere_positions_beyond_the_first(two: list[RedisProcess]):
    """Who heard more of the first than was kept begins anew; who comes then goes on from any position."""
    here, elsewhere = two
    here.log.open(RUN, 2, started(2))
    for event in ANSWER.upto(9).since(START):
        write(here.log, event)
    early = asyncio.ensure_future(heard(elsewhere.log, 30))
    new = asyncio.ensure_future(heard(elsewhere.log))
    late = asyncio.ensure_future(heard(elsewhere.log, EPOCH_SPAN + 7))
    await known(elsewhere, ANSWER.upto(9))
    for event in ANSWER.since(9):
        write(here.log, event)
        await here.log._publisher.publish()
    end: TerminalEvent = RunCancelled(EPOCH_SPAN + ANSWER.tip + 1, CancelReason.USER)
    here.log.end(RUN, end)

    snapshot, *rest = await early
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.seq, snapshot.content) == (EPOCH_SPAN + snapshot.content.tip, ANSWER.upto(snapshot.content.tip))
    assert folded([snapshot, *rest]) == ANSWER
    told = await new
    assert told[0] == started(2)
    for events, at in ((told[1:], EPOCH_SPAN + START), (await late, EPOCH_SPAN + 7), (rest, snapshot.seq)):
        assert events[-1] == end
        draft = Draft(ANSWER.upto(at - EPOCH_SPAN), EPOCH_SPAN)
        for event in events[:-1]:
            draft.apply(event)
        assert (draft.content(), draft.tip) == (ANSWER, EPOCH_SPAN + ANSWER.tip)


async def test_what_the_release_before_ships_is_read_and_it_reads_the_text_of_ours() -> None:
    """It knows of no parts: an entry of its has no member for them, and it looks at none that comes after its own."""
    before = msgspec.msgpack.encode([1, 1, "Hello", "", b"", False])
    assert decode_entry(before) == Entry(1, 1, "Hello")
    ours = encode(entry_of(1, 1, ["Hel", "lo", Head("reasoning", {}), "Hm"], None))
    assert msgspec.msgpack.decode(ours, type=EntryBefore) == EntryBefore(1, 1, "Hello")


class EntryBefore(msgspec.Struct, array_like=True):
    epoch: int
    begins: int
    text: str = ""
    kind: str = ""
    terminal: bytes = b""
    gone: bool = False
