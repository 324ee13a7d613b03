"""What Redis is asked for the connections that are held here: to be their devices', and to stay so."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from chatorch.adapters.redis.held import Held, HeldConnections, Present
from chatorch.adapters.redis.link import RedisLink
from chatorch.adapters.redis.scripts import ATTACH, CLAIM, Argument, Command
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId

AT_ONCE = 500
TAKEN, FULL = 0, -1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows from Redis's answer: a newer connection has the device, the user has too many, nobody answers."""

    taken: Callable[[UserId, str], None]
    refused: Callable[[Held], None]
    alone: Callable[[Held], None]


class Claims:
    """At most one claim of a connection is on its way: of two, the later might undo what was decided between them."""

    def __init__(
        self, link: RedisLink, here: HeldConnections, keys: list[str], users: str, life_ms: int, decided: Decided
    ) -> None:
        self._link = link
        self._here = here
        self._keys = keys
        self._head: list[Argument] = [users, life_ms, here.most]
        self._decided = decided

    def make(self, held: Held, *, first: bool = False) -> None:
        """What Redis says to the others of it comes back here too, on its user's channel."""
        if self._here.of(held.device) is not held or held.claiming:
            return
        present = self._here.users[held.device.user_id]
        question = present.device_set.asking() if present.device_set.to_be_asked else None
        script = CLAIM if question is None else ATTACH
        held.claiming = True
        self._link.post(
            lambda: script(self._keys, *self._head, *_claim(held, first=first)),
            partial(self._answered, held, present, question),
        )

    def renew(self) -> None:
        """For all that are held here, whether Redis has them or not."""
        known: list[Held] = []
        for held in list(self._here.all()):
            if self._here.users[held.device.user_id].device_set.to_be_asked:
                self.make(held)
            elif not held.claiming:
                held.claiming = True
                known.append(held)
        for some in portions(known):
            self._link.post(partial(self._renewing, some), partial(self._renewed, some))

    def repeat(self) -> None:
        """After a loss of Redis, which may have forgotten what it said last, and give the same ranks again."""
        for held in self._here.all():
            held.rank = b""
        self.renew()

    def _answered(self, held: Held, present: Present, question: int | None, answer: Any) -> None:
        outcomes, there = (answer, None) if question is None or answer is None else answer
        if question is not None:
            clients = None if there is None else client_ids(there)
            present.tell(present.device_set.answered(question, clients))
        if outcomes is None:
            self._decided.alone(held)
        self._renewed([held], outcomes)

    def _renewing(self, devices: list[Held]) -> Command:
        return CLAIM(self._keys, *self._head, *itertools.chain.from_iterable(map(_claim, devices)))

    def _renewed(self, devices: list[Held], outcomes: Any) -> None:
        for held, outcome in itertools.zip_longest(devices, outcomes or ()):
            held.claiming = False
            if outcome == TAKEN:
                self._decided.taken(held.device.user_id, held.name)
            elif outcome == FULL:
                self._decided.refused(held)
            elif outcome is not None:
                held.rank = outcome


def _claim(held: Held, *, first: bool = False) -> tuple[Argument, ...]:
    device, age_ms = held.device, held.age_ms(asyncio.get_running_loop().time())
    return (device.user_id, device.client_id, held.name, age_ms, held.rank, int(first))


def client_ids(there: Iterable[bytes]) -> set[ClientId]:
    return {ClientId(name.decode()) for name in there}


def portions(items: list[T]) -> Iterator[list[T]]:
    for first in range(0, len(items), AT_ONCE):
        yield items[first : first + AT_ONCE]
