"""When no more files can be opened."""

import asyncio
import resource

from chatorch.entrypoints.process.open_files import may_open, watch_files
from tests.support.fakes import FakeClock
from tests.support.logged import logged


async def test_it_is_told_once_in_a_while_for_as_long_as_it_lasts():
    clock, full = FakeClock(), [True]
    with logged() as out:
        watching = asyncio.create_task(watch_files(clock, lambda: not full[0]))
        await clock.advance(11)
        full[0] = False
        await clock.advance(60)
        watching.cancel()
    assert len(out.named("files_exhausted")) == 3


def test_it_is_seen_at_the_limit_and_not_below_it():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert may_open()
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert not may_open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
