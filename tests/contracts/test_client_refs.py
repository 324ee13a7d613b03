"""What every store keeps to of threads by their clients' own ids, and of those that are not to be kept."""

import asyncio
from dataclasses import replace

import pytest

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused, NotFound
from chatorch.domain.model.generation import Generation
from chatorch.domain.model.paging import PageRequest
from chatorch.ports.runs import ClientRefTaken, IdempotencyKey
from tests.support.stores import ANN, BOB, Stores, at, ending, new_run, turn

DAY = 24 * 3600
ASKED = Generation(0.5, 100, "low", {"type": "json_schema", "json_schema": {"name": "x", "schema": {"a": [1, None]}}})


async def test_a_thread_is_found_by_its_clients_id_and_only_by_its_owner(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r"), replace(turn("m", "t", opens=True), client_ref="Ü 1"))
    found = await stores.threads.find_thread(ANN, "Ü 1")
    assert found == await stores.threads.read_thread(ANN, ThreadId("thr_t"))
    assert found.client_ref == "Ü 1"
    assert await stores.threads.find_thread(BOB, "Ü 1") is None
    assert await stores.threads.find_thread(ANN, "ü 1") is None


async def test_a_name_is_unique_per_owner_and_nothing_is_written_where_it_is_taken(stores: Stores) -> None:
    await stores.runs.open_run(new_run("r1"), replace(turn("m1", "t1", opens=True), client_ref="x"))
    with pytest.raises(ClientRefTaken):
        await stores.runs.open_run(new_run("r2"), replace(turn("m2", "t2", opens=True), client_ref="x"))
    await stores.runs.open_run(new_run("r3", owner=BOB), replace(turn("m3", "t3", opens=True), client_ref="x"))
    await stores.runs.open_run(new_run("r4"), turn("m4", "t4", opens=True))
    await stores.runs.open_run(new_run("r5"), turn("m5", "t5", opens=True))
    listed = await stores.threads.list_threads(ANN, PageRequest(10))
    assert sorted(thread.id for thread in listed.items) == ["thr_t1", "thr_t4", "thr_t5"]


async def test_of_many_who_open_one_name_at_once_one_does(stores: Stores) -> None:
    opening = (
        stores.runs.open_run(new_run(f"r{n}"), replace(turn(f"m{n}", f"t{n}", opens=True), client_ref="x"))
        for n in range(8)
    )
    opened = await asyncio.gather(*opening, return_exceptions=True)
    assert sorted(type(one).__name__ for one in opened) == ["ClientRefTaken"] * 7 + ["OpenedRun"]


async def test_a_repeated_key_joins_its_run_though_the_name_is_taken(stores: Stores) -> None:
    key = IdempotencyKey("k", "same")
    first = await stores.runs.open_run(new_run("r1", key=key), replace(turn("m1", "t1", opens=True), client_ref="x"))
    again = await stores.runs.open_run(new_run("r2", key=key), replace(turn("m2", "t2", opens=True), client_ref="x"))
    assert (again.joined, again.run.id) == (True, first.run.id)
    with pytest.raises(IdempotencyKeyReused):
        await stores.runs.open_run(
            new_run("r3", key=IdempotencyKey("k", "other")), replace(turn("m3", "t3", opens=True), client_ref="x")
        )


async def test_how_a_run_is_generated_is_kept_with_it(stores: Stores) -> None:
    opened = await stores.runs.open_run(replace(new_run("r"), generation=ASKED), turn("m", "t", opens=True))
    assert opened.run.generation == ASKED
    assert (await stores.runs.read_run(ANN, opened.run.id)).generation == ASKED
    await stores.runs.open_run(new_run("usual"), turn("m2", "t2", opens=True))
    assert (await stores.runs.read_run(ANN, new_run("usual").run_id)).generation == Generation()


async def unstored(stores: Stores, name: str, *, days_ago: float, ends: bool = True, stored: bool = False) -> None:
    then = at(-days_ago * DAY)
    await stores.runs.open_run(new_run(name, now=then), replace(turn(name, name, opens=True), stored=stored))
    if ends:
        await stores.execution_store.finish(replace(ending(name), finished_at=then))


async def test_what_is_not_to_be_kept_is_read_but_not_listed(stores: Stores) -> None:
    await unstored(stores, "a", days_ago=0)
    await unstored(stores, "b", days_ago=0, stored=True)
    assert [thread.id for thread in (await stores.threads.list_threads(ANN, PageRequest(10))).items] == ["thr_b"]
    assert not (await stores.threads.read_thread(ANN, ThreadId("thr_a"))).stored


async def test_unstored_threads_are_forgotten_oldest_first_but_no_live_and_no_stored_one(stores: Stores) -> None:
    for name, days_ago in (("old", 3), ("older", 4), ("young", 0.5)):
        await unstored(stores, name, days_ago=days_ago)
    await unstored(stores, "live", days_ago=5, ends=False)
    await unstored(stores, "kept", days_ago=5, stored=True)

    async def left() -> list[str]:
        return [name for name in ("old", "older", "young", "live", "kept") if await is_there(stores, name)]

    assert await stores.unstored_threads.forget(at(-DAY), 1) == 1
    assert await left() == ["old", "young", "live", "kept"]
    assert await stores.unstored_threads.forget(at(-DAY), 100) == 1
    assert await left() == ["young", "live", "kept"]
    assert await stores.unstored_threads.forget(at(-DAY), 100) == 0
    assert len(await stores.interactions()) == 4


async def is_there(stores: Stores, name: str) -> bool:
    try:
        await stores.threads.read_thread(ANN, ThreadId(f"thr_{name}"))
    except NotFound:
        return False
    return True
