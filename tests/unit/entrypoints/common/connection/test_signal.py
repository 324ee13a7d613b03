import asyncio
import sys

from chatorch.entrypoints.common.connection.signal import Signal


async def test_all_who_wait_go_on_once_it_is_given_and_nobody_after_it_is_cleared() -> None:
    signal = Signal()
    waiting = [asyncio.ensure_future(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    signal.set()
    signal.clear()
    assert [await each for each in waiting[1:]] == [True, True]
    assert waiting[0].cancelled()
    late = asyncio.ensure_future(signal.wait())
    await asyncio.sleep(0)
    assert not late.done()
    assert not signal.is_set()
    signal.set()
    assert await late
    assert await signal.wait()


async def test_it_is_small() -> None:
    signal, usual = Signal(), asyncio.Event()
    sizes = [sys.getsizeof(each) + sum(map(sys.getsizeof, vars(each).values())) for each in (signal, usual)]
    assert sizes[0] * 3 < sizes[1]
