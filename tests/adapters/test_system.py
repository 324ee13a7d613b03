"""How background work is kept, reported and brought to an end; and what an id is made of."""

import asyncio
from datetime import UTC, datetime

import pytest

from chatorch.adapters.system import CROCKFORD, TaskSpawner, TimeOrderedIds
from tests.support.fakes import FakeClock, settle
from tests.support.logged import logged

SECRET = "what the user wrote"


async def broken() -> None:
    raise LookupError(SECRET)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_failure_is_logged_once_by_type_and_place_and_never_by_message():
    with logged() as log:
        TaskSpawner().spawn(broken(), "run run_1")
        await settle()

    (entry,) = log.lines
    assert entry["event"] == "task_failed"
    assert entry["level"] == "error"
    assert (entry["task"], entry["error"]) == ("run run_1", "LookupError")
    module, line = entry["at"].rsplit(":", 1)
    assert (module, int(line)) == (__name__, broken.__code__.co_firstlineno + 1)
    assert SECRET not in str(entry)


async def test_a_failure_stops_nothing_else():
    spawner, done = TaskSpawner(), asyncio.Event()

    async def work() -> None:
        done.set()

    with logged():
        spawner.spawn(broken(), "broken")
        spawner.spawn(work(), "work")
        async with asyncio.timeout(5):
            await done.wait()
        await spawner.aclose()


async def test_work_that_was_cancelled_is_no_failure():
    spawner = TaskSpawner()
    with logged() as log:
        spawner.spawn(for_ever(), "for ever")
        await spawner.aclose(wait_s=0)
    assert log.lines == []


async def test_closing_waits_for_work_to_end_by_itself():
    spawner, go_on, ended = TaskSpawner(), asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        ended.append("by itself")

    spawner.spawn(work(), "work")
    closing = asyncio.create_task(spawner.aclose(wait_s=60))
    await settle()
    assert not closing.done()

    go_on.set()
    async with asyncio.timeout(5):
        await closing
    assert ended == ["by itself"]


async def test_closing_cancels_what_does_not_end_and_lets_it_clean_up():
    spawner, ended = TaskSpawner(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    spawner.spawn(work(), "work")
    async with asyncio.timeout(5):
        await spawner.aclose(wait_s=0.01)
    assert ended == ["cleaned up"]


async def test_closing_does_not_wait_for_ever_for_what_will_not_be_cancelled():
    spawner, let_go = TaskSpawner(), asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    spawner.spawn(stubborn(), "stubborn")
    async with asyncio.timeout(5):
        await spawner.aclose(wait_s=0.01, cancel_s=0.01)
    let_go.set()
    await settle()


async def test_closing_with_nothing_to_do_returns_at_once():
    async with asyncio.timeout(1):
        await TaskSpawner().aclose(wait_s=60)


@pytest.mark.parametrize(
    "when", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)
def test_the_first_ten_characters_are_the_milliseconds_as_in_a_ulid(when: datetime):
    digits = TimeOrderedIds(FakeClock(when)).new("run").removeprefix("run_")[:10]
    milliseconds = 0
    for digit in digits:
        milliseconds = milliseconds * 32 + CROCKFORD.index(digit)
    assert milliseconds == int(when.timestamp() * 1000)
