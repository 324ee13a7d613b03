"""When a process may have traffic: one look that is missed changes nothing, what is certain counts at once."""

import asyncio

import pytest

from chatorch.domain.model.errors import NotWritable, StoreUnavailable
from chatorch.entrypoints.process.readiness import EVERY_S, MISSED, Readiness
from tests.support.fakes import FakeClock
from tests.support.logged import logged


class Store:
    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def readiness(store: Store) -> Readiness:
    return Readiness(store, FakeClock())


@pytest.mark.parametrize(
    ("fault", "name"),
    [(StoreUnavailable(), "unavailable"), (TimeoutError(), "timeout"), (RuntimeError("canary"), "unavailable")],
)
async def test_only_looks_missed_in_a_row_count_and_one_that_goes_well_ends_it(
    readiness: Readiness, store: Store, fault: Exception, name: str
):
    with logged() as lines:
        for _ in range(5):
            store.fault = fault
            for _ in range(MISSED - 1):
                await readiness.look()
                assert readiness.store == "ok"
            store.fault = None
            await readiness.look()
        store.fault = fault
        for _ in range(MISSED):
            await readiness.look()
        assert readiness.store == name
        store.fault = None
        await readiness.look()
        assert readiness.store == "ok"
    assert [line["database"] for line in lines.named("readiness_changed")] == [name, "ok"]
    assert "canary" not in lines.text


async def test_a_store_that_takes_no_writes_counts_at_once_by_its_name(readiness: Readiness, store: Store):
    store.fault = NotWritable("disk_full")
    await readiness.look()
    assert readiness.store == "disk_full"
    store.fault = StoreUnavailable()
    await readiness.look()
    assert readiness.store == "unavailable", "it is not well meanwhile"


async def test_it_is_looked_at_once_a_second_and_for_ever(store: Store):
    clock = FakeClock()
    looking = asyncio.ensure_future(Readiness(store, clock).keep_looking())
    store.fault = RuntimeError("whatever")
    for count in range(1, 5):
        async with asyncio.timeout(5):
            await clock.until_asleep(1)
        assert store.pings == count
        await clock.advance(EVERY_S)
    looking.cancel()
