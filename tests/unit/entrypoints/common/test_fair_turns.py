"""How much that is new begins in one turn of the event loop."""

import asyncio

from chatorch.entrypoints.common.fair_turns import FairTurns


async def begun_by_turn(turns: FairTurns, *arrivals: int) -> list[int]:
    """So many come in each turn of the loop; how many begin in it and in those after it, until all have begun."""
    begun: list[int] = []
    seen: list[int] = []
    for count in arrivals:
        for _ in range(count):
            turns.begin(lambda: begun.append(len(begun)))
        seen.append(len(begun))
        await asyncio.sleep(0)
    while len(begun) < sum(arrivals):
        seen.append(len(begun))
        await asyncio.sleep(0)
    assert begun == sorted(begun)
    return [later - earlier for earlier, later in zip([0, *seen], [*seen, len(begun)], strict=True)]


async def test_a_few_begin_at_once():
    assert await begun_by_turn(FairTurns(3), 3) == [3, 0]


async def test_of_many_that_come_at_once_so_many_begin_in_each_turn():
    assert max(await begun_by_turn(FairTurns(3), 10)) == 3
    assert max(await begun_by_turn(FairTurns(3), 10, 10, 10)) == 3


async def test_who_comes_later_begins_later():
    turns, order = FairTurns(1), list[str]()
    for name in "abc":
        turns.begin(lambda name=name: order.append(name))
    await asyncio.sleep(0)
    turns.begin(lambda: order.append("d"))
    while len(order) < 4:
        await asyncio.sleep(0)
    assert order == ["a", "b", "c", "d"]


async def test_tasks_wait_for_their_turn_and_who_gives_up_holds_up_nobody():
    turns = FairTurns(1)
    waiting = [asyncio.ensure_future(turns.mine()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[2].cancel()
    async with asyncio.timeout(1):
        done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in done] == [False, False, True, False, False]
