"""Every noticeboard: what one process posts, the others read."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatorch.adapters.memory.noticeboard import MemoryNoticeboard
from chatorch.adapters.redis.link import COMMAND_S, Away, RedisLink
from chatorch.adapters.redis.noticeboard import RedisNoticeboard
from chatorch.adapters.redis.scripts import Command
from chatorch.ports.noticeboard import Board
from tests.support.eventually import eventually
from tests.support.redis_process import RedisProcess, fresh_prefix, processes
from tests.support.redis_server import RedisServer


@pytest.fixture
async def started(redis_server: RedisServer) -> AsyncIterator[list[RedisProcess]]:
    async with processes(redis_server.url, 3) as started:
        yield started


@pytest.fixture
def boards(started: list[RedisProcess]) -> list[RedisNoticeboard]:
    """Of two workers of one server, and of another server."""
    one, mate, stranger = started
    return [RedisNoticeboard(one.link, "a"), RedisNoticeboard(mate.link, "a"), RedisNoticeboard(stranger.link, "b")]


async def test_who_is_alone_shows_nobody_anything():
    board = MemoryNoticeboard()

    assert not await board.post(b"figures", 3, {"x": 1.0})
    assert await board.read() == Board()
    await board.withdraw()


async def test_all_read_what_the_others_post_and_what_they_have_processed(boards: list[RedisNoticeboard]):
    one, mate, stranger = boards
    assert await one.read() == Board([], [])
    assert await one.post(b"one", 3, {"x": 1.0})
    assert await mate.post(b"mate", 4, {"x": 10.0, "y": 0.1})
    assert await one.post(b"one again", 5, {"x": 2.5})

    assert await one.read() == Board([b"mate"], [], 4, {"x": 12.5, "y": 0.1})
    assert await mate.read() == Board([b"one again"], [], 5, {"x": 12.5, "y": 0.1})
    seen = await stranger.read()
    assert (sorted(seen.strangers), seen.processed, seen.counted) == ([b"mate", b"one again"], 9, None)


async def test_who_has_no_mates_counts_by_itself(boards: list[RedisNoticeboard]):
    one, mate, stranger = boards
    for board in (one, stranger):
        assert await board.post(b"figures", 0, {"x": 1.0})
        assert (await board.read()).counted is None
    await one.post(b"figures", 0, {"x": 2.0})
    assert (await mate.read()).counted is None, "it is not in the sum yet"
    await mate.post(b"figures", 0, {"x": 1.0})
    assert (await mate.read()).counted == {"x": 3.0}


async def test_who_withdraws_shows_nothing_and_what_it_has_counted_stays(boards: list[RedisNoticeboard]):
    one, mate, _ = boards
    await one.post(b"one", 3, {"x": 1.0})
    await mate.post(b"mate", 4, {"x": 1.0})
    await mate.withdraw()

    async def is_left() -> bool:
        return await one.read() == Board([], [], 4, {"x": 2.0})

    await eventually(is_left)
    await one.post(b"one", 3, {"x": 5.0})
    assert await one.read() == Board([], [], 4, {"x": 6.0})


async def test_who_is_silent_is_shown_no_more_and_counts_once_when_it_comes_back(started: list[RedisProcess]):
    one, mate = (RedisNoticeboard(process.link, "a", shown_s=0.05) for process in started[:2])
    await mate.post(b"mate", 4, {"x": 4.0})
    await one.post(b"one", 0, {"x": 1.0})

    async def is_gone() -> bool:
        return await one.read() == Board([], [], 4, {"x": 5.0})

    await eventually(is_gone)
    await mate.post(b"mate", 6, {"x": 6.0})
    seen = await one.read()
    assert (seen.processed, seen.counted) == (6, {"x": 7.0})


class Forgetful(RedisLink):
    """Of what it asks while `forgets`, the answers are lost on the way."""

    forgets = False

    async def ask(self, *commands: Command, within: float = COMMAND_S) -> list[Any]:
        answers = await super().ask(*commands, within=within)
        if self.forgets:
            raise Away
        return answers


async def test_a_post_whose_answer_was_lost_counts_once(redis_server: RedisServer):
    prefix = fresh_prefix()
    sure, link = RedisLink(redis_server.url, prefix=prefix), Forgetful(redis_server.url, prefix=prefix)
    await sure.start()
    await link.start()
    one, mate = RedisNoticeboard(sure, "a"), RedisNoticeboard(link, "a")
    await one.post(b"one", 1, {"x": 1.0})
    for before in (0, 10):
        link.forgets = True
        assert not await mate.post(b"mate", before + 2, {"x": before + 2.0})
        assert not await mate.post(b"mate", before + 4, {"x": before + 4.0})
        link.forgets = False
        assert await mate.post(b"mate", before + 5, {"x": before + 5.0})
        assert await one.read() == Board([b"mate"], [], before + 5, {"x": before + 6.0})
    await link.aclose()
    await sure.aclose()


async def test_with_redis_away_nothing_is_shown_and_nothing_is_lost(own_redis: RedisServer):
    async with processes(own_redis.url) as [one, other]:
        here, elsewhere = RedisNoticeboard(one.link, "a"), RedisNoticeboard(other.link, "a")
        assert await here.post(b"figures", 3, {"x": 3.0})
        own_redis.kill()
        assert not await here.post(b"figures", 5, {"x": 5.0})
        assert await here.read() == Board()
        await one.until(up=False)
        await other.until(up=False)
        own_redis.start()
        await one.until(up=True)
        await other.until(up=True)

        assert await elsewhere.post(b"others", 0, {"x": 0.5})
        assert (await here.read()).counted is None, "it has to tell all again"
        assert await here.post(b"figures", 5, {"x": 5.0})
        assert await elsewhere.read() == Board([b"figures"], [], 5, {"x": 5.5})
        assert await here.post(b"figures", 6, {"x": 6.0})
        assert await elsewhere.read() == Board([b"figures"], [], 6, {"x": 6.5})
