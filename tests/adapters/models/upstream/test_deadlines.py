"""The watch over one stream's waits."""

import asyncio

import pytest

from chatorch.adapters.models.upstream.deadlines import Deadlines, Watch


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_a_wait_ends_at_the_deadline_and_so_does_every_later_one() -> None:
    watch = Watch(Deadlines(first_piece=0.02))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await watch.wait(never)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_cancelled_from_outside_is_cancelled() -> None:
    watch = Watch(Deadlines())
    waiting = asyncio.ensure_future(watch.wait(never))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    watch.stop()


async def test_a_cancel_that_meets_the_deadline_is_a_cancel() -> None:
    watch = Watch(Deadlines(first_piece=0.02))

    async def cancelled_as_it_rings() -> bytes:
        try:
            return await never()
        finally:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    waiting = asyncio.ensure_future(watch.wait(cancelled_as_it_rings))
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_deadline_never_disturbs_who_is_not_waiting() -> None:
    watch = Watch(Deadlines(first_piece=0.02, idle=0.02))
    watch.progress = True
    assert await watch.wait(lambda: asyncio.sleep(0, b"a")) == b"a"
    rung = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.05, rung.set_result, None)
    await rung
    watch.progress = True
    assert await watch.wait(lambda: asyncio.sleep(0, b"b")) == b"b"
    watch.stop()


async def test_an_idle_time_shorter_than_the_first_deadline_holds_from_the_first_data_on() -> None:
    watch = Watch(Deadlines(first_piece=60, idle=0.02))
    await watch.wait(lambda: asyncio.sleep(0))
    watch.progress = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await watch.wait(never)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_progress_does_not_move_the_end() -> None:
    watch = Watch(Deadlines(first_piece=60, idle=60, total=0.05))

    async def go_on_for_ever() -> None:
        while True:
            watch.progress = True
            await watch.wait(lambda: asyncio.sleep(0.01))

    with pytest.raises(TimeoutError):
        await go_on_for_ever()


async def test_the_whole_counts_from_where_another_worker_began() -> None:
    watch = Watch(Deadlines(first_piece=60, idle=60, total=600), begun_s=599.98)
    with pytest.raises(TimeoutError, match="not the whole answer within 600 s"):
        await watch.wait(never)
    with pytest.raises(TimeoutError, match="not the whole answer"):
        await Watch(Deadlines(total=600), begun_s=601).wait(never)
