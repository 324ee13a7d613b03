"""What was needed for a while is given back."""

import asyncio
import re
from pathlib import Path

from chatorch.entrypoints.process.free_memory import WORTH_BYTES, Heap, keep_giving_back, own_heap
from tests.support.fakes import FakeClock

MB = 1024 * 1024


class CountingHeap(Heap):
    def __init__(self) -> None:
        self.free = 0
        self.given_back = 0

    def free_bytes(self) -> int:
        return self.free

    def give_back(self) -> None:
        """What has been given back counts as free all the same."""
        self.given_back += 1


async def given_back(*free: int) -> int:
    """How often, where so much is free at one look after the other."""
    clock, heap = FakeClock(), CountingHeap()
    task = asyncio.create_task(keep_giving_back(clock, heap))
    await clock.until_asleep()
    for heap.free in free:
        await clock.advance(0.5)
    task.cancel()
    return heap.given_back


async def test_a_little_is_not_worth_it():
    assert await given_back(WORTH_BYTES - 1, 0, WORTH_BYTES - 1) == 0


async def test_what_is_freed_at_once_is_given_back_once():
    assert await given_back(20 * MB, 20 * MB, 21 * MB) == 1


async def test_what_is_used_and_freed_again_is_given_back_again():
    assert await given_back(20 * MB, 2 * MB, 20 * MB, 20 * MB) == 2


async def test_where_it_cannot_be_asked_nothing_is_done():
    async with asyncio.timeout(1):
        await keep_giving_back(FakeClock(), None)


def resident() -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def test_what_lies_before_something_small_that_stays_is_given_back_too():
    heap = own_heap()
    assert heap is not None
    heap.give_back()
    blocks = [bytes([1]) * 16_000 for _ in range(2000)]
    stays = blocks[::40]
    before = resident()
    blocks.clear()
    heap.give_back()
    assert resident() < before - 25 * MB
    assert len(stays) == 50
