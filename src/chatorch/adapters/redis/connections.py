"""Connections in several processes: mailboxes here, devices in Redis, a channel a user and one for everyone."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.notices import decode_told, told_bytes
from chatorch.adapters.redis.scripts import ATTACH, COUNT, DETACH, NOW, PUBLISH_BEFORE, RENEW, SWEEP, Command
from chatorch.adapters.redis.tasks import ended
from chatorch.domain.model.errors import Unavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.live import ClientId, Device, Notice, Presence, PresenceChanged
from chatorch.ports.connections import Connections, Mailbox

LIFE_S = 10.0
RENEW_S = 3.0
BROADCAST_S = 0.5
LEAVING_S = 15.0
RENEWED_AT_ONCE = 500
ABSENT, TAKEN = 0, 2
NOBODY = "-"


@dataclass(slots=True)
class _Held:
    """The connection of this process with this `number`, and its name everywhere.

    `told`: its user's devices here know of it; `registered`: Redis does.
    """

    device: Device
    mailbox: Mailbox
    number: int
    name: str
    told: bool = False
    registered: bool = False


class RedisConnections(Connections):
    """Devices expire in Redis after `life_s` seconds unless their process renews them, every `renew_s`.

    While Redis is away, what happens here is told here. Connections are named by the time they began: two that claim
    one device after an outage are told apart by it.
    """

    def __init__(self, link: RedisLink, *, life_s: float = LIFE_S, renew_s: float = RENEW_S) -> None:
        self._link = link
        self._life_ms = round(life_s * 1000)
        self._renew_s = renew_s
        self._keys = [f"{link.prefix}devices", f"{link.prefix}devices:expiries"]
        self._users = f"{link.prefix}user:"
        self._everyone = f"{link.prefix}everyone"
        self._by_user: dict[UserId, dict[ClientId, _Held]] = {}
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        link.on_return(self._register_all)

    async def start(self) -> None:
        self._link.listen(self._everyone, self._hear_announcement)
        await self._link.confirmed(self._everyone)
        self._task = asyncio.ensure_future(self._keep_renewed())

    async def aclose(self) -> None:
        """What is still connected has left."""
        if self._task is not None:
            await ended([self._task])
        for held in list(self._all()):
            self.detach(held.device, held.mailbox)
        self._link.forget(self._everyone)

    # -- the port --------------------------------------------------------------------------------------------------

    def attach(self, device: Device, mailbox: Mailbox) -> None:
        devices = self._by_user.setdefault(device.user_id, {})
        if not devices:
            self._link.listen(self._channel(device), lambda data: self._hear(device.user_id, data))
        older = devices.get(device.client_id)
        number = next(self._numbers)
        name = f"{time.time_ns():020d}-{self._link.process}-{number}"
        held = _Held(device, mailbox, number, name, told=older is not None)
        devices[device.client_id] = held
        if older is not None:
            older.mailbox.replaced()
            self._register(held)
            return
        # Not before the channel is heard: of two devices that come at once, one must hear of the other.
        heard = self._link.confirmed(self._channel(device))
        heard.add_done_callback(lambda done: self._register(held) if done.result() else self._tell_alone(held))

    def detach(self, device: Device, mailbox: Mailbox) -> None:
        held = self._by_user.get(device.user_id, {}).get(device.client_id)
        if held is None or held.mailbox is not mailbox:
            return
        self._remove(held)
        if self._link.up and held.registered:
            self._link.post(self._detaching(held, NOBODY), lambda answer: self._left(held) if answer is None else None)
        elif held.registered or held.told:
            self._left(held)

    def send(self, user_id: UserId, notice: Notice, *, besides: ClientId | None = None) -> None:
        self._deliver(user_id, notice, besides)
        told = told_bytes(self._link.process, besides or "", notice)
        self._link.post(("PUBLISH", f"{self._users}{user_id}", told))

    async def broadcast(self, notice: Notice) -> None:
        told = told_bytes("", "", notice)
        try:
            [now] = await self._link.ask(NOW([]))
            deadline = now + round(BROADCAST_S * 1000)
            [published] = await self._link.ask(PUBLISH_BEFORE([], self._everyone, told, deadline))
        except Away:
            published = 0
        if not published:
            raise Unavailable("Other processes cannot be reached now.")

    async def count(self) -> int:
        here = sum(1 for _ in self._all())
        try:
            [everywhere] = await self._link.ask(COUNT(self._keys[1:]))
        except Away:
            return here
        return max(here, int(everywhere))

    # -- what others tell ------------------------------------------------------------------------------------------

    def _hear(self, user_id: UserId, data: bytes) -> None:
        kind, _, rest = data.partition(b" ")
        if kind == b"replaced":
            self._replaced(user_id, rest.decode())
        elif kind in (b"joined", b"left"):
            knows, _, client_id = rest.decode().partition(" ")
            if knows != self._link.process:
                self._tell_here(Device(user_id, ClientId(client_id)), Presence(kind.decode()))
        else:
            told = decode_told(data)
            if told.process != self._link.process:
                self._deliver(user_id, told.notice(), ClientId(told.besides) if told.besides else None)

    def _hear_announcement(self, data: bytes) -> None:
        notice = decode_told(data).notice()
        for held in list(self._all()):
            held.mailbox.deliver(notice)

    def _replaced(self, user_id: UserId, connection: str) -> None:
        for held in list(self._by_user.get(user_id, {}).values()):
            if held.name == connection:
                self._remove(held)
                held.mailbox.replaced()

    # -- what is told ----------------------------------------------------------------------------------------------

    def _register(self, held: _Held) -> None:
        """Registers it with a word to the others; on its user's channel that comes back here, too."""
        if not self._holds(held):
            return
        held.registered = True
        knows = self._link.process if held.told else NOBODY
        device = held.device
        command = ATTACH(
            self._keys,
            _field(device),
            held.name,
            self._life_ms,
            self._channel(device),
            knows,
            device.client_id,
        )
        self._link.post(command, lambda answer: self._tell_alone(held) if answer is None else None)

    def _tell_alone(self, held: _Held) -> None:
        """Redis is away. The others hear of it when it is back."""
        held.registered = False
        if self._holds(held) and not held.told:
            held.told = True
            self._tell_here(held.device, Presence.JOINED)

    def _left(self, held: _Held) -> None:
        """Redis is away. The others hear of it when it is back."""
        if held.device.client_id not in self._by_user.get(held.device.user_id, {}):
            self._tell_here(held.device, Presence.LEFT)
        self._link.post(self._detaching(held, self._link.process), keep_s=LEAVING_S)

    def _detaching(self, held: _Held, knows: str) -> Command:
        device = held.device
        return DETACH(self._keys, _field(device), held.name, self._channel(device), knows, device.client_id)

    def _tell_here(self, device: Device, status: Presence) -> None:
        """Of one that joined here, those hear that were here before it."""
        devices = self._by_user.get(device.user_id, {})
        newcomer = devices.get(device.client_id) if status is Presence.JOINED else None
        notice = PresenceChanged(device.client_id, status)
        for client_id, held in list(devices.items()):
            if client_id != device.client_id and (newcomer is None or held.number < newcomer.number):
                held.mailbox.deliver(notice)

    # -- renewing --------------------------------------------------------------------------------------------------

    async def _keep_renewed(self) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            self._bring_up(register=False)
            self._link.post(SWEEP(self._keys, self._users))

    def _register_all(self) -> None:
        """Redis is back, perhaps empty. Those that were registered are put there again without a word."""
        self._bring_up(register=True)

    def _bring_up(self, *, register: bool) -> None:
        held_here = list(self._all())
        self._renew([held for held in held_here if held.registered], register=register)
        for held in held_here:
            if not held.registered:
                self._register(held)

    def _renew(self, devices: list[_Held], *, register: bool) -> None:
        for first in range(0, len(devices), RENEWED_AT_ONCE):
            some = devices[first : first + RENEWED_AT_ONCE]
            pairs = (part for held in some for part in (_field(held.device), held.name))
            command = RENEW(self._keys, self._life_ms, int(register), self._users, *pairs)
            self._link.post(command, partial(self._renewed, some))

    def _renewed(self, devices: list[_Held], outcomes: Any) -> None:
        for held, outcome in zip(devices, outcomes or (), strict=False):
            if outcome == ABSENT:
                # It had expired: this process was asleep, and the others heard that it left.
                self._register(held)
            elif outcome == TAKEN:
                self._replaced(held.device.user_id, held.name)

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _deliver(self, user_id: UserId, notice: Notice, besides: ClientId | None) -> None:
        for client_id, held in list(self._by_user.get(user_id, {}).items()):
            if client_id != besides:
                held.mailbox.deliver(notice)

    def _remove(self, held: _Held) -> None:
        devices = self._by_user[held.device.user_id]
        del devices[held.device.client_id]
        if not devices:
            del self._by_user[held.device.user_id]
            self._link.forget(self._channel(held.device))

    def _holds(self, held: _Held) -> bool:
        return self._by_user.get(held.device.user_id, {}).get(held.device.client_id) is held

    def _all(self) -> Iterator[_Held]:
        for devices in self._by_user.values():
            yield from devices.values()

    def _channel(self, device: Device) -> str:
        return f"{self._users}{device.user_id}"


def _field(device: Device) -> str:
    """Ids of users have no line feed, so it ends them."""
    return f"{device.user_id}\n{device.client_id}"
