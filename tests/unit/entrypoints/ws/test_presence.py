"""What one connection is told of others that come and go."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceStatus
from chatorch.entrypoints.ws.presence import Gathered
from tests.support.eventually import eventually

SOON_S = 0.02


def joined(name: str) -> PresenceChanged:
    return PresenceChanged(ClientId(name), PresenceStatus.JOINED)


def left(name: str) -> PresenceChanged:
    return PresenceChanged(ClientId(name), PresenceStatus.LEFT)


async def told_of(told: Sequence[PresenceChanged], expected: list[PresenceChanged]) -> None:
    async def all_told() -> bool:
        return list(told) == expected

    await eventually(all_told, every=SOON_S / 4)


async def test_a_join_is_told_at_once_and_a_leaving_soon():
    told: list[PresenceChanged] = []
    gathered = Gathered(told.append, SOON_S)
    gathered.hear(joined("phone"))
    assert told == [joined("phone")]
    gathered.hear(left("phone"))
    await told_of(told, [joined("phone"), left("phone")])


async def test_of_who_leaves_and_comes_back_meanwhile_nothing_is_said():
    told: list[PresenceChanged] = []
    gathered = Gathered(told.append, SOON_S)
    for _ in range(100):
        gathered.hear(left("phone"))
        gathered.hear(joined("phone"))
    gathered.hear(left("tablet"))
    await told_of(told, [left("tablet")])


async def test_two_thousand_that_come_and_go_cost_a_word_or_two_and_who_stays_is_told():
    told: list[PresenceChanged] = []
    gathered = Gathered(told.append, SOON_S)
    for number in range(2000):
        gathered.hear(joined(f"device {number}"))
        gathered.hear(left(f"device {number}"))
    gathered.hear(joined("phone"))
    await told_of(told, [joined("device 0"), left("device 0"), joined("phone")])


async def test_after_its_end_nothing_is_told():
    told: list[PresenceChanged] = []
    gathered, other = Gathered(told.append, SOON_S), Gathered(told.append, 2 * SOON_S)
    gathered.hear(left("phone"))
    gathered.close()
    other.hear(left("tablet"))
    await told_of(told, [left("tablet")])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_each_change_that_is_told_is_one_and_the_last_word_is_true(steps: list[tuple[str, bool]]):
    there, known = set[str](), set[str]()

    def tell(change: PresenceChanged) -> None:
        assert (change.client_id in known) is (change.status is PresenceStatus.LEFT)
        known.symmetric_difference_update((change.client_id,))

    async def happen() -> None:
        gathered = Gathered(tell, 0.0)
        for name, waits in steps:
            gathered.hear(left(name) if name in there else joined(name))
            there.symmetric_difference_update((name,))
            if waits:
                await asyncio.sleep(0)
        while gathered._untold:
            await asyncio.sleep(0)

    asyncio.run(happen())
    assert known == there
