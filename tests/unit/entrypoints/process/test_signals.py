"""Being asked to stop, in the middle of something."""

import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
import structlog

from chatorch.entrypoints.process.signals import SignalDrain
from tests.support.logged import logged


@pytest.fixture
def passed_on() -> Iterator[asyncio.Event]:
    """Set when the signal comes to whoever had it before."""
    heard = asyncio.Event()

    def hear(_number: int, _frame: FrameType | None) -> None:
        heard.set()

    before = signal.signal(signal.SIGTERM, hear)
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_a_drain_is_not_logged_as_part_of_the_request_that_the_signal_interrupted(passed_on: asyncio.Event):
    limits: list[float] = []

    async def drain(limit_s: float) -> None:
        limits.append(limit_s)

    signals = SignalDrain(drain, 2.5)
    signals.install()
    with logged() as out:
        with structlog.contextvars.bound_contextvars(request_id="req-1", run_id="run-1"):
            signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await passed_on.wait()
    signals.uninstall()
    assert limits == [2.5]
    assert [line["event"] for line in out.lines] == ["draining", "drained"]
    assert not any(line.keys() & {"request_id", "run_id"} for line in out.lines)
