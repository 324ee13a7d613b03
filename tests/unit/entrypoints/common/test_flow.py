"""Who takes in what was sent, and who does not."""

from collections.abc import Callable

import pytest

from chatorch.entrypoints.common.connection.flow import StallWatch

EVERY_S = 30.0


class Timers:
    """A loop of which only timers are asked for, and a transport of which only its buffer is."""

    def __init__(self) -> None:
        self.size = 0
        self.called: list[Callable[[], None]] = []
        self.cancelled = 0

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Timers":
        assert delay == EVERY_S
        self.called.append(callback)
        return self

    def cancel(self) -> None:
        self.cancelled += 1
        self.called.clear()

    def get_write_buffer_size(self) -> int:
        return self.size

    def passes(self) -> None:
        self.called.pop()()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def gone() -> list[bool]:
    return []


@pytest.fixture
def stall(timers: Timers, gone: list[bool]) -> StallWatch:
    return StallWatch(timers, timers, EVERY_S, lambda: gone.append(True))


def test_who_takes_in_nothing_between_two_looks_is_gone(timers: Timers, stall: StallWatch, gone: list[bool]):
    timers.size = 100
    stall.watch()
    timers.passes()
    assert not gone
    timers.passes()
    assert (gone, timers.called) == ([True], [])


def test_who_takes_in_a_byte_each_time_is_waited_for_as_long_as_it_lasts(timers, stall, gone):
    stall.watch()
    for timers.size in range(50, 0, -1):
        timers.passes()
    timers.size = 0
    timers.passes()
    assert (gone, timers.called) == ([], [])


def test_what_is_new_begins_anew(timers: Timers, stall: StallWatch, gone: list[bool]):
    timers.size = 100
    stall.watch()
    for _ in range(9):
        timers.passes()
        stall.watch()
    assert not gone


def test_one_timer_serves_all_that_is_sent(timers: Timers, stall: StallWatch):
    for _ in range(9):
        stall.watch()
    assert len(timers.called) == 1
    stall.end()
    stall.end()
    assert (timers.called, timers.cancelled) == ([], 1)
