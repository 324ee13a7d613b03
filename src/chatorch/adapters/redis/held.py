"""The connections that this process holds, and what they are given."""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chatorch.adapters.redis.device_sets import DeviceSet
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device, PresenceChanged, PresenceEvent, PresenceStatus
from chatorch.ports.connections import Mailbox

MOST_HEARD = 100


@dataclass(slots=True)
class Held:
    """A connection: its number here, its name everywhere, and since when (loop time, seconds).

    `rank` is what Redis has given it, to be handed back as it is; nothing where it has to be given one (again).
    `claiming`: it has been asked for, and not answered yet. `before` is the name of one that it replaced here, which
    Redis may still know the device by.
    """

    device: Device
    mailbox: Mailbox
    number: int
    name: str
    since: float
    rank: bytes = b""
    claiming: bool = False
    before: str = ""

    def age_ms(self, now: float) -> int:
        return round((now - self.since) * 1000)


@dataclass(slots=True)
class Present:
    """A user who has devices here."""

    devices: dict[ClientId, Held] = field(default_factory=dict)
    device_set: DeviceSet = field(default_factory=DeviceSet)
    heard: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=MOST_HEARD))

    def is_new(self, process: str, number: int) -> bool:
        """What is kept may be told twice, and in any order."""
        if (process, number) in self.heard:
            return False
        self.heard.append((process, number))
        return True

    def tell(self, news: Iterable[PresenceChanged]) -> None:
        """Of one that joined here, those hear that were here before it."""
        for change in news:
            newcomer = self.devices.get(change.client_id) if change.status is PresenceStatus.JOINED else None
            for client_id, held in list(self.devices.items()):
                if client_id != change.client_id and (newcomer is None or held.number < newcomer.number):
                    held.mailbox.deliver(change)


class HeldConnections:
    """`most`: of one user's."""

    def __init__(self, process: str, most: int) -> None:
        self.users: dict[UserId, Present] = {}
        self.most = most
        self._process = process
        self._numbers = itertools.count()

    def is_full(self, device: Device) -> bool:
        """There is no place for it, and none that it could take."""
        present = self.users.get(device.user_id)
        return present is not None and len(present.devices) >= self.most and device.client_id not in present.devices

    def add(self, device: Device, mailbox: Mailbox, now: float) -> Held:
        """In the place of an older one of this device, which is told so."""
        devices = self.users.setdefault(device.user_id, Present()).devices
        older = devices.get(device.client_id)
        number = next(self._numbers)
        held = devices[device.client_id] = Held(device, mailbox, number, f"{self._process}-{number}", now)
        if older is not None:
            held.before = older.name if older.claiming or older.rank else older.before
            older.mailbox.replaced()
        return held

    def remove(self, held: Held) -> None:
        devices = self.users[held.device.user_id].devices
        del devices[held.device.client_id]
        if not devices:
            del self.users[held.device.user_id]

    def of(self, device: Device) -> Held | None:
        present = self.users.get(device.user_id)
        return present.devices.get(device.client_id) if present else None

    def named(self, user_id: UserId, name: str) -> Held | None:
        devices = present.devices if (present := self.users.get(user_id)) else {}
        return next((held for held in devices.values() if held.name == name), None)

    def all(self) -> Iterator[Held]:
        for present in self.users.values():
            yield from present.devices.values()

    def deliver(
        self, user_id: UserId, event: PresenceEvent, besides: ClientId | None, latest: float = math.inf
    ) -> None:
        """To those that were connected at `latest` (loop time) already."""
        if present := self.users.get(user_id):
            for client_id, held in list(present.devices.items()):
                if client_id != besides and held.since <= latest:
                    held.mailbox.deliver(event)

    def announce(self, event: PresenceEvent, latest: float) -> None:
        """To those that were connected at `latest` (loop time) already."""
        for held in list(self.all()):
            if held.since <= latest:
                held.mailbox.deliver(event)
