"""Guests: how many, and from where."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from chatorch.domain.model.errors import TooManyRequests, TooManyRuns
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.domain.model.rates import Rate
from chatorch.domain.services.admission import Admission
from chatorch.domain.services.guest_admission import GuestAdmission, GuestLimits
from chatorch.ports.admission import RunRequest
from tests.support.fakes import FakeClock

LIMITS = GuestLimits(rate=Rate(10, 60), live=50, live_per_address=5)
REQUEST = RunRequest("a-model", 2)
ROOMY = replace(LIMITS, live=10_000, live_per_address=10_000)


def guest(address: str | None) -> Principal:
    return Principal(UserId("gst_1"), "guest", frozenset({Scope.CHAT}), guest=True, address=address)


def guests_only(clock: FakeClock, limits: GuestLimits) -> Admission:
    return Admission([GuestAdmission(clock, limits)])


async def admitted(admission: Admission, *addresses: str | None) -> list[ExitStack]:
    """The places of those who were let in, in their order, until one was not."""
    places = []
    for address in addresses:
        try:
            places.append((await admission.admit(guest(address), REQUEST)).place)
        except (TooManyRuns, TooManyRequests):
            break
    return places


async def test_an_address_has_so_many_a_minute_and_another_its_own() -> None:
    clock = FakeClock()
    admission = guests_only(clock, ROOMY)
    assert len(await admitted(admission, *["192.0.2.1"] * 20)) == 10
    assert len(await admitted(admission, *["192.0.2.2"] * 20)) == 10
    with pytest.raises(TooManyRequests) as refused:
        await admission.admit(guest("192.0.2.1"), REQUEST)
    await clock.advance(refused.value.retry_after)
    assert len(await admitted(admission, *["192.0.2.1"] * 20)) == 1


async def test_one_address_cannot_hold_all_places() -> None:
    admission = guests_only(FakeClock(), LIMITS)
    places = await admitted(admission, *["192.0.2.1"] * 20)
    assert len(places) == 5
    assert len(await admitted(admission, *(f"198.51.100.{number}" for number in range(100)))) == 45
    with pytest.raises(TooManyRuns):
        await admission.admit(guest("192.0.2.2"), REQUEST)
    places.pop().close()
    assert len(await admitted(admission, "192.0.2.2", "192.0.2.3")) == 1


async def test_a_place_that_was_refused_costs_nothing_of_the_rate() -> None:
    admission = guests_only(FakeClock(), LIMITS)
    places = await admitted(admission, *["192.0.2.1"] * 5)
    for _ in range(50):
        with pytest.raises(TooManyRuns):
            await admission.admit(guest("192.0.2.1"), REQUEST)
    for place in places:
        place.close()
    assert len(await admitted(admission, *["192.0.2.1"] * 5)) == 5


@pytest.mark.parametrize("wide", ["2001:db8:0:{:x}00::1", "2001:db8:0:{:x}::1"])
async def test_who_has_a_whole_network_has_not_as_much_for_each_address(wide: str) -> None:
    admission = guests_only(FakeClock(), ROOMY)
    addresses = [wide.format(number) for number in range(1, 200)]
    let_in = sum([len(await admitted(admission, address)) for address in addresses for _ in range(20)])
    assert let_in == (160 if "00::" in wide else 40)


async def test_guests_whose_address_nobody_knows_share_one() -> None:
    assert len(await admitted(guests_only(FakeClock(), LIMITS), *[None] * 20)) == 5


async def test_a_user_is_never_refused_here() -> None:
    admission = guests_only(FakeClock(), replace(LIMITS, live=1, rate=Rate(1, 60)))
    ann = Principal(UserId("usr_ann"), "ann", frozenset({Scope.CHAT}))
    for _ in range(100):
        await admission.admit(ann, REQUEST)
