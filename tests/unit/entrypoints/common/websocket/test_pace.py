"""How long one user's connections wait for each other."""

from chatorch.domain.model.identity import UserId
from chatorch.entrypoints.common.websocket.pace import BURST_S, LONGEST_S, Pace
from tests.support.fakes import FakeClock

MOST, BURST = 20, 40
ANN, BOB = UserId("usr_ann"), UserId("usr_bob")


async def test_a_few_come_at_once_and_more_of_them_one_after_the_other():
    pace = Pace(MOST, FakeClock().monotonic)
    waits = [pace.wait_s(ANN) for _ in range(BURST + 20)]
    assert waits[:BURST] == [0.0] * BURST
    assert [round(wait * MOST) for wait in waits[BURST:]] == list(range(1, 21))
    assert pace.wait_s(BOB) == 0.0


async def test_nobody_waits_longer_than_a_bound_and_when_it_is_quiet_nobody_waits():
    clock = FakeClock()
    pace = Pace(MOST, clock.monotonic)
    assert max(pace.wait_s(ANN) for _ in range(5000)) == LONGEST_S
    await clock.advance(LONGEST_S + BURST_S)
    assert [pace.wait_s(ANN) for _ in range(BURST)] == [0.0] * BURST


async def test_who_has_not_come_for_a_while_is_forgotten():
    clock = FakeClock()
    pace = Pace(MOST, clock.monotonic)
    for number in range(100):
        pace.wait_s(UserId(f"usr_{number}"))
    pace.forget()
    assert len(pace._turns) == 100
    await clock.advance(BURST_S + 1)
    pace.forget()
    assert not pace._turns
