"""Every noticeboard: what one process posts, the others read."""

from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.memory.noticeboard import MemoryNoticeboard
from chatorch.adapters.redis.noticeboard import RedisNoticeboard
from chatorch.ports.noticeboard import Board
from tests.support.redis_process import processes
from tests.support.redis_server import RedisServer


@pytest.fixture
async def boards(redis_server: RedisServer) -> AsyncIterator[list[RedisNoticeboard]]:
    async with processes(redis_server.url, 3) as started:
        yield [RedisNoticeboard(process.link) for process in started]


async def test_who_is_alone_shows_nobody_anything():
    board = MemoryNoticeboard()

    assert not await board.post(b"figures", 3)
    assert await board.read() == Board((), None)


async def test_all_read_what_the_others_post_and_what_was_processed_together(boards: list[RedisNoticeboard]):
    one, other, third = boards
    assert await one.read() == Board([], 0)
    assert await one.post(b"one", 3)
    assert await other.post(b"other", 4)
    assert await one.post(b"one again", 2)

    assert await one.read() == Board([b"other"], 9)
    assert await other.read() == Board([b"one again"], 9)
    assert sorted((await third.read()).shown) == [b"one again", b"other"]


async def test_with_redis_away_nothing_is_shown_and_nothing_is_lost(own_redis: RedisServer):
    async with processes(own_redis.url) as [one, other]:
        here, elsewhere = RedisNoticeboard(one.link), RedisNoticeboard(other.link)
        assert await here.post(b"figures", 3)
        own_redis.kill()
        assert not await here.post(b"figures", 2)
        assert await here.read() == Board((), None)
        await one.until(up=False)
        await other.until(up=False)
        own_redis.start()
        await one.until(up=True)
        await other.until(up=True)

        assert await here.post(b"figures", 2)
        assert await elsewhere.read() == Board([b"figures"], 5)
