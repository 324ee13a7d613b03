"""How many guests: a rate for each address, and places.

All of it is of this process: n workers let through up to n times as much.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from chatorch.domain.model.addresses import FACTORS, AddressBuckets, networks
from chatorch.domain.model.errors import TooManyRequests, TooManyRuns
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.rates import Limit, Rate
from chatorch.ports.admission import AdmissionRule, RunRequest
from chatorch.ports.system import Clock

GUEST_RATE = Rate(10, 60)
GUEST_RUNS = "guest-runs"
GUEST_RUNS_OF_ADDRESS = "guest-runs-of-address"
UNKNOWN = "unknown"
"""Guests whose address nobody knows are one address: without, there would be no limit at all."""


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """How many runs of guests an address may open (`rate`), and have live at once; `live` is of all together."""

    rate: Rate = GUEST_RATE
    live: int = 50
    live_per_address: int = 5


class GuestAdmission(AdmissionRule):
    """Guests within their limits. Whoever is none is let by."""

    def __init__(self, clock: Clock, limits: GuestLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or GuestLimits()
        self._asked = AddressBuckets(self._limits.rate)
        self._live: Counter[str] = Counter()
        self._live_in_all = 0

    async def admit(self, principal: Principal, request: RunRequest, place: ExitStack) -> None:  # noqa: ARG002
        """Raises `TooManyRequests` and `TooManyRuns`. Whom the places keep out has spent nothing of the rate."""
        if not principal.guest:
            return
        address = principal.address or UNKNOWN
        self._require_place(address)
        now = self._clock.monotonic()
        if wait_s := self._asked.room_in(address, now):
            rate = self._limits.rate
            raise TooManyRequests(limit=Limit("guest-requests", rate.limit, wait_s, rate.per_s))
        self._asked.spend(address, now)
        self._take(address)
        place.callback(self._free, address)

    def _require_place(self, address: str) -> None:
        limits = self._limits
        if self._live_in_all >= limits.live:
            raise TooManyRuns("Too many guests at once.", limit=Limit(GUEST_RUNS, limits.live, 1))
        shares = zip(networks(address), FACTORS, strict=False)
        if any(self._live[network] >= limits.live_per_address * factor for network, factor in shares):
            raise TooManyRuns(
                "Too many guests at once from this address.",
                limit=Limit(GUEST_RUNS_OF_ADDRESS, limits.live_per_address, 1),
            )

    def _take(self, address: str) -> None:
        self._live.update(networks(address))
        self._live_in_all += 1

    def _free(self, address: str) -> None:
        for network in networks(address):
            self._live[network] -= 1
            if not self._live[network]:
                del self._live[network]
        self._live_in_all -= 1
