"""What every store keeps to that forgets guests."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId
from tests.support.stores import ANN, NOW, Stores, at, ending, new_run, turn

HOUR = 3600


async def visit(stores: Stores, name: str, *, hours_ago: float, ends: bool = True, owner: str = "") -> UserId:
    """A guest's turn; by default their id is made of the time, as real ones are. It ended a minute later."""
    guest = UserId(owner or f"gst_{10_000 - hours_ago:010.3f}{name}")
    then = at(-hours_ago * HOUR)
    await stores.runs.open_run(new_run(name, owner=guest, now=then, guest_label=ANN), turn(name, name, opens=True))
    if ends:
        await stores.execution_store.finish(replace(ending(name), finished_at=then + timedelta(seconds=60)))
    return guest


async def is_there(stores: Stores, name: str, owner: UserId) -> bool:
    try:
        await stores.threads.read_thread(owner, ThreadId(f"thr_{name}"))
    except NotFound:
        return False
    return True


async def test_what_is_older_is_forgotten_and_nothing_else(stores: Stores) -> None:
    old = await visit(stores, "old", hours_ago=30)
    young = await visit(stores, "young", hours_ago=10)
    mine = await visit(stores, "mine", hours_ago=30, owner=ANN)
    assert await stores.guest_threads.forget(at(60 - 30 * HOUR), 100) == 0
    assert await stores.guest_threads.forget(at(-24 * HOUR), 100) == 1
    assert [await is_there(stores, "old", old), await is_there(stores, "young", young)] == [False, True]
    assert await is_there(stores, "mine", mine)
    assert await stores.guest_threads.forget(at(-24 * HOUR), 100) == 0


async def test_what_is_in_it_goes_with_it_and_the_record_stays(stores: Stores) -> None:
    guest = await visit(stores, "g", hours_ago=30)
    await stores.guest_threads.forget(at(61), 100)
    with pytest.raises(NotFound):
        await stores.runs.read_run(guest, new_run("g").run_id)
    [record] = await stores.interactions()
    assert (record.run_id, record.guest_label) == ("run_g", ANN)
    again = new_run("g2", owner=guest)
    with pytest.raises(NotFound):
        await stores.runs.open_run(again, turn("g2", "g"))
    await stores.runs.open_run(new_run("g", owner=guest), turn("g", "g", opens=True))


async def test_a_live_run_is_left_alone_however_old(stores: Stores) -> None:
    guest = await visit(stores, "live", hours_ago=30, ends=False)
    assert await stores.guest_threads.forget(NOW, 100) == 0
    assert await is_there(stores, "live", guest)
    await stores.execution_store.finish(ending("live"))
    assert await stores.guest_threads.forget(at(61), 100) == 1


async def test_so_many_at_a_time_the_oldest_first(stores: Stores) -> None:
    guests = {f"g{hours}": await visit(stores, f"g{hours}", hours_ago=hours) for hours in (30, 32, 28, 34, 26)}
    assert await stores.guest_threads.forget(at(61), 2) == 2
    assert [name for name in guests if await is_there(stores, name, guests[name])] == ["g30", "g28", "g26"]
    assert await stores.guest_threads.forget(at(61), 2) == 2
    assert await stores.guest_threads.forget(at(61), 2) == 1


async def test_of_too_many_the_oldest_go_and_their_records_too(stores: Stores) -> None:
    guests = {f"g{hours}": await visit(stores, f"g{hours}", hours_ago=hours) for hours in (30, 32, 28, 34, 26)}
    mine = await visit(stores, "mine", hours_ago=99, owner=ANN)
    assert await stores.guest_threads.shed(5, 100) == 0
    assert await stores.guest_threads.shed(2, 2) == 2
    assert await stores.guest_threads.shed(2, 2) == 1
    assert await stores.guest_threads.shed(2, 2) == 0
    assert [name for name in guests if await is_there(stores, name, guests[name])] == ["g28", "g26"]
    assert await is_there(stores, "mine", mine)
    assert {record.run_id for record in await stores.interactions()} == {"run_g28", "run_g26", "run_mine"}


async def test_of_too_many_a_live_run_is_left_alone(stores: Stores) -> None:
    live = await visit(stores, "live", hours_ago=30, ends=False)
    young = await visit(stores, "young", hours_ago=10)
    assert await stores.guest_threads.shed(1, 100) == 0
    assert await stores.guest_threads.shed(0, 100) == 1
    assert [await is_there(stores, "live", live), await is_there(stores, "young", young)] == [True, False]


async def test_several_processes_at_once_remove_each_thread_once(stores: Stores) -> None:
    for number in range(20):
        await visit(stores, f"g{number}", hours_ago=30 + number)
    removed = await asyncio.gather(*(stores.guest_threads.forget(at(61), 100) for _ in range(4)))
    assert sum(removed) == 20
