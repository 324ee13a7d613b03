"""Who may try a password now, and whose turn it is.

A wrong one counts against the name and against the address that it came from; what has too many is refused before any
work is done. But a name that somebody else is guessing at must not lock its owner out, so an address from which it was
hardly ever wrong may still try. Hashing is slow, so who waits for it has a line: first the addresses with the fewest
wrong passwords, so that those who guess wait for those who do not.

All of it is of this process: n workers let through up to n times as many wrong ones.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chatorch.domain.model.addresses import AddressBuckets, networks
from chatorch.domain.model.errors import ChatorchError, Overloaded, TooManyAttempts
from chatorch.domain.model.rates import Buckets, Limit, Rate
from chatorch.ports.system import Clock

MAX_WAITING = 256
MAX_WAITING_OF_ADDRESS = 64
KNOWN = 10_000
REFUSED_IN_S = 1.0
"""How long a refusal is held back: who asks on and on without a pause would else take the time that hashing needs."""
MAX_HELD_BACK = 512

Rank = tuple[int, bool, int, int]


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many wrong passwords in `window_s` seconds: for a name from everywhere, and from an address for all names.

    `of_stranger`: for a name that has reached its limit, from an address that has not. `at_once`: how many are tried.
    """

    of_name: int = 10
    of_address: int = 20
    of_stranger: int = 3
    window_s: float = 600
    at_once: int = 4


@dataclass(slots=True, eq=False)
class Attempt:
    """One password that is to be tried. `address` is None where nobody knows it: then only the name counts."""

    name: str
    address: str | None
    order: int
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    source: str = field(init=False)
    pair: str = field(init=False)

    def __post_init__(self) -> None:
        self.source = networks(self.address)[0] if self.address is not None else ""
        self.pair = f"{self.source} {self.name}"


class Attempts:
    """The line before the hashing, and the memory of what was wrong."""

    def __init__(self, clock: Clock, limits: AttemptLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._names = Buckets(Rate(limits.of_name, limits.window_s))
        self._addresses = AddressBuckets(Rate(limits.of_address, limits.window_s))
        self._pairs = Buckets(Rate(limits.of_stranger, limits.window_s))
        self._known: dict[str, None] = {}
        self._waiting: list[Attempt] = []
        self._trying: list[Attempt] = []
        self._count = 0
        self._held_back = 0
        self._newest_next = False

    @asynccontextmanager
    async def turn(self, name: str, address: str | None) -> AsyncIterator[Attempt]:
        """Waits until it is this one's turn, and holds that while inside; `wrong` or `right` say what came of it.

        `name` is canonical. Raises `TooManyAttempts`, and `Overloaded` where too many wait.
        """
        try:
            attempt = self._arrived(name, address)
        except (TooManyAttempts, Overloaded):
            await self._hold_back()
            raise
        try:
            await attempt.turn
            yield attempt
        finally:
            self._left(attempt)

    def wrong(self, attempt: Attempt) -> None:
        """Refuses those too who wait, and have no chance any more."""
        now = self._clock.monotonic()
        self._names.spend(attempt.name, now)
        self._pairs.spend(attempt.pair, now)
        if attempt.address is not None:
            self._addresses.spend(attempt.address, now)
        for other in list(self._waiting):
            if refusal := self._refusal(other, now):
                self._turn_away(other, refusal)

    def right(self, attempt: Attempt) -> None:
        """What was wrong before was a slip: for this name and from there, and for nothing else.

        The name's bucket stays, or who guesses would gain by each visit of its owner; so does the address's, or by each
        of one's own between two guesses.
        """
        self._pairs.fill(attempt.pair)
        if attempt.address is not None:
            self._known.pop(attempt.source, None)
            self._known[attempt.source] = None
            if len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]

    # -- the line --------------------------------------------------------------------------------------------------

    def _arrived(self, name: str, address: str | None) -> Attempt:
        self._count += 1
        attempt = Attempt(name, address, self._count)
        now = self._clock.monotonic()
        if refusal := self._refusal(attempt, now):
            raise refusal
        self._require_room(attempt, now)
        self._waiting.append(attempt)
        self._go_on()
        return attempt

    def _require_room(self, attempt: Attempt, now: float) -> None:
        """Where all places are taken, whoever guesses most gives up one for whoever guesses less."""
        if sum(other.source == attempt.source for other in self._waiting) >= MAX_WAITING_OF_ADDRESS:
            raise Overloaded
        if len(self._waiting) < MAX_WAITING:
            return
        last = max(self._waiting, key=lambda other: self._rank(other, now))
        if self._rank(last, now) < self._rank(attempt, now):
            raise Overloaded
        self._turn_away(last, Overloaded())

    def _left(self, attempt: Attempt) -> None:
        if attempt in self._trying:
            self._trying.remove(attempt)
        elif attempt in self._waiting:  # whoever asked has gone
            self._waiting.remove(attempt)
        if attempt.turn.done() and not attempt.turn.cancelled():
            attempt.turn.exception()  # told to who waited, if anybody still did
        self._go_on()

    def _go_on(self) -> None:
        now = self._clock.monotonic()
        while len(self._trying) < self._limits.at_once:
            able = (attempt for attempt in self._waiting if self._has_room(attempt, now))
            self._newest_next = not self._newest_next
            first = min(able, key=lambda attempt: self._rank(attempt, now, newest=self._newest_next), default=None)
            if first is None:
                return
            self._waiting.remove(first)
            if not first.turn.done():
                self._trying.append(first)
                first.turn.set_result(None)

    async def _hold_back(self) -> None:
        if self._held_back >= MAX_HELD_BACK:
            return
        self._held_back += 1
        try:
            await self._clock.sleep(REFUSED_IN_S)
        finally:
            self._held_back -= 1

    def _turn_away(self, attempt: Attempt, why: ChatorchError) -> None:
        self._waiting.remove(attempt)
        if not attempt.turn.done():
            attempt.turn.set_exception(why)

    def _rank(self, attempt: Attempt, now: float, *, newest: bool = False) -> Rank:
        """The least is next. Of those who are alike it is the oldest and the newest in turn: in a crowd of strangers
        the one who has just come need not wait for all of them, and nobody is overtaken for ever."""
        return (
            self._wrong_from(attempt, now),
            attempt.source not in self._known,
            math.ceil(self._names.spent(attempt.name, now)),
            -attempt.order if newest else attempt.order,
        )

    # -- the memory ------------------------------------------------------------------------------------------------

    def _refusal(self, attempt: Attempt, now: float) -> TooManyAttempts | None:
        limits = self._limits
        if attempt.address is not None and (wait_s := self._addresses.room_in(attempt.address, now)):
            return TooManyAttempts(limit=Limit("sign-in-address", limits.of_address, wait_s, limits.window_s))
        wait_s = min(self._names.room_in(attempt.name, now), self._pairs.room_in(attempt.pair, now))
        if wait_s:
            return TooManyAttempts(limit=Limit("sign-in-user", limits.of_name, wait_s, limits.window_s))
        return None

    def _has_room(self, attempt: Attempt, now: float) -> bool:
        """Whether it could still be wrong, if all that is being tried turned out to be."""
        limits = self._limits
        if attempt.address is not None and self._wrong_from(attempt, now) >= limits.of_address:
            return False
        of_name = self._names.spent(attempt.name, now) + sum(tried.name == attempt.name for tried in self._trying)
        if of_name + 1 <= limits.of_name:
            return True
        of_pair = self._pairs.spent(attempt.pair, now) + sum(tried.pair == attempt.pair for tried in self._trying)
        return of_pair + 1 <= limits.of_stranger

    def _wrong_from(self, attempt: Attempt, now: float) -> int:
        """What is being tried counts as wrong until it is right."""
        tried = sum(other.source == attempt.source for other in self._trying)
        wrong = self._addresses.spent(attempt.address, now) if attempt.address is not None else 0.0
        return math.ceil(wrong + tried)
