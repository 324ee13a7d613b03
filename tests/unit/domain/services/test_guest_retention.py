"""Guests: how many, from where, and for how long what they left is kept."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace

import pytest

from chatorch.domain.model.errors import TooManyRequests, TooManyRuns
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.rates import Rate
from chatorch.domain.services.admission import Admission, GuestLimits
from chatorch.domain.services.guest_retention import BATCH, GuestRetention
from chatorch.ports.guests import GuestThreadStore
from tests.support.app import RecordingTelemetry
from tests.support.fakes import FakeClock, settle
from tests.support.sizes import size

LIMITS = GuestLimits(rate=Rate(10, 60), live=50, live_per_address=5)
ROOMY = replace(LIMITS, live=10_000, live_per_address=10_000)


def guest(address: str | None) -> Principal:
    return Principal(UserId("gst_1"), "guest", frozenset({Scope.CHAT}), guest=True, address=address)


def admitted(admission: Admission, *addresses: str | None) -> list[ExitStack]:
    """The places of those who were let in, in their order, until one was not."""
    places = []
    for address in addresses:
        try:
            places.append(admission.admit(guest(address)))
        except (TooManyRuns, TooManyRequests):
            break
    return places


async def test_an_address_has_so_many_a_minute_and_another_its_own() -> None:
    clock = FakeClock()
    admission = Admission(clock, ROOMY)
    assert len(admitted(admission, *["192.0.2.1"] * 20)) == 10
    assert len(admitted(admission, *["192.0.2.2"] * 20)) == 10
    with pytest.raises(TooManyRequests) as refused:
        admission.admit(guest("192.0.2.1"))
    await clock.advance(refused.value.retry_after)
    assert len(admitted(admission, *["192.0.2.1"] * 20)) == 1


def test_one_address_cannot_hold_all_places() -> None:
    admission = Admission(FakeClock(), LIMITS)
    places = admitted(admission, *["192.0.2.1"] * 20)
    assert len(places) == 5
    assert len(admitted(admission, *(f"198.51.100.{number}" for number in range(100)))) == 45
    with pytest.raises(TooManyRuns):
        admission.admit(guest("192.0.2.2"))
    places.pop().close()
    assert len(admitted(admission, "192.0.2.2", "192.0.2.3")) == 1


def test_a_place_that_was_refused_costs_nothing_of_the_rate() -> None:
    admission = Admission(FakeClock(), LIMITS)
    places = admitted(admission, *["192.0.2.1"] * 5)
    for _ in range(50):
        with pytest.raises(TooManyRuns):
            admission.admit(guest("192.0.2.1"))
    for place in places:
        place.close()
    assert len(admitted(admission, *["192.0.2.1"] * 5)) == 5


@pytest.mark.parametrize("wide", ["2001:db8:0:{:x}00::1", "2001:db8:0:{:x}::1"])
def test_who_has_a_whole_network_has_not_as_much_for_each_address(wide: str) -> None:
    admission = Admission(FakeClock(), ROOMY)
    addresses = [wide.format(number) for number in range(1, 200)]
    let_in = sum(len(admitted(admission, address)) for address in addresses for _ in range(20))
    assert let_in == (160 if "00::" in wide else 40)


def test_guests_whose_address_nobody_knows_share_one() -> None:
    assert len(admitted(Admission(FakeClock(), LIMITS), *[None] * 20)) == 5


def test_a_user_is_never_refused_here() -> None:
    admission = Admission(FakeClock(), replace(LIMITS, live=1, rate=Rate(1, 60)))
    ann = Principal(UserId("usr_ann"), "ann", frozenset({Scope.CHAT}))
    for _ in range(100):
        admission.admit(ann)


class Left(GuestThreadStore):
    """So many threads that are due; `before` is how old, in seconds, each time that somebody asked for some."""

    def __init__(self, clock: FakeClock, due: int, there: int = 0) -> None:
        self.due = due
        self.there = there
        self.before: list[float] = []
        self._clock = clock

    async def forget(self, before, limit: int) -> int:
        self.before.append((self._clock.now() - before).total_seconds())
        taken = min(limit, self.due)
        self.due -= taken
        return taken

    async def shed(self, keep: int, limit: int) -> int:
        taken = min(limit, max(self.there - keep, 0))
        self.there -= taken
        return taken


@pytest.mark.parametrize(("hours", "interval_s"), [(24, 60), (0.01, 9), (0, 1)])
async def test_what_guests_left_is_removed_in_batches_when_its_time_is_over(hours: float, interval_s: float) -> None:
    clock = FakeClock()
    left = Left(clock, due=3 * BATCH + 1)
    retention = GuestRetention(store=left, clock=clock, telemetry=RecordingTelemetry(), hours=hours, most=9)
    tidying = asyncio.create_task(retention.keep_tidy())
    await clock.advance(interval_s - 0.01)
    assert left.before == []
    await clock.advance(0.02)
    assert left.due == 2 * BATCH + 1
    await clock.advance(0.5)
    assert left.due == 0
    assert left.before == [hours * 3600] * 4
    tidying.cancel()
    await settle()


@pytest.mark.soak
async def test_of_a_day_of_guests_from_everywhere_no_more_is_left_than_is_to_be_kept() -> None:
    """A hundred a second, from addresses that are new each time: nothing of it is old."""
    clock = FakeClock()
    left = Left(clock, due=0)
    retention = GuestRetention(store=left, clock=clock, telemetry=RecordingTelemetry(), hours=24, most=10_000)
    most = 0
    for _ in range(size(12, 24 * 60)):
        left.there += 6000
        most = max(most, left.there)
        sweeping = asyncio.create_task(retention.sweep())
        await clock.advance(60)
        await sweeping
    assert (left.there, most) == (10_000, 16_000)
