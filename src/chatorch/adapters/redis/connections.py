"""Connections in several processes: mailboxes here, devices in Redis, a channel a user and one for everyone."""

import asyncio
import itertools
import math
from functools import partial
from typing import Any

from chatorch.adapters.redis.announcements import Announcements
from chatorch.adapters.redis.claims import Claims, Decided, client_ids, portions
from chatorch.adapters.redis.held import MOST_HEARD, Held, HeldConnections, Present
from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.adapters.redis.presence_events import decode_told, told_bytes
from chatorch.adapters.redis.scripts import COUNT, DETACH, DEVICES, SEND, SENT, SWEEP, Command
from chatorch.adapters.redis.tasks import ended
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device, PresenceChanged, PresenceEvent, PresenceStatus
from chatorch.ports.connections import Connections, Mailbox

LIFE_S = 10.0
RENEW_S = 3.0
SETTLED_S = RENEW_S + 1.0
"""After Redis has come back, perhaps empty: by then every process that lives has told it of its devices."""

KEPT_S = 60.0
SWEPT_AT_ONCE = 200


class RedisConnections(Connections):
    """Devices expire in Redis after `life_s` seconds unless their process renews them, every `renew_s`.

    Every process keeps the set of devices of those users that have some here, so that a change is told once, however
    often it is heard. While Redis is away, what happens here is told here; when it is back, the sets are compared. Of
    two connections that claim one device, the one that Redis ranked later stays; see `scripts.devices`.
    """

    def __init__(
        self,
        link: RedisLink,
        most: int,
        *,
        life_s: float = LIFE_S,
        renew_s: float = RENEW_S,
        settled_s: float = SETTLED_S,
    ) -> None:
        """`most`: how many connections one user may have."""
        self._link = link
        self._renew_s = renew_s
        self._settled_s = settled_s
        self._expiries = [f"{link.prefix}expiries"]
        self._users = f"{link.prefix}user:"
        self._here = HeldConnections(link.process, most)
        decided = Decided(self._replaced, self._refused, self._alone)
        keys = [*self._expiries, f"{link.prefix}ranks"]
        self._claims = Claims(link, self._here, keys, self._users, round(life_s * 1000), decided)
        self._sent = itertools.count(1)
        self._announcements = Announcements(link, self._announce)
        self._task: asyncio.Task[None] | None = None
        self._settling: asyncio.TimerHandle | None = None
        link.on_return(self._returned)

    async def start(self) -> None:
        await self._announcements.start()
        self._task = asyncio.ensure_future(self._keep_renewed())

    async def aclose(self) -> None:
        """What is still connected has left."""
        if self._settling is not None:
            self._settling.cancel()
        if self._task is not None:
            await ended([self._task])
        for held in list(self._here.all()):
            self.detach(held.device, held.mailbox)
        self._announcements.close()

    # -- the port --------------------------------------------------------------------------------------------------

    def attach(self, device: Device, mailbox: Mailbox) -> None:
        if self._here.is_full(device):
            mailbox.refused()
            return
        if device.user_id not in self._here.users:
            self._link.listen(self._channel(device.user_id), partial(self._hear, device.user_id))
        held = self._here.add(device, mailbox, _now())
        # Not before the channel is heard: of two devices that come at once, one must hear of the other.
        heard = self._link.confirmed(self._channel(device.user_id))
        heard.add_done_callback(
            lambda done: self._claims.make(held, first=True) if done.result() else self._alone(held)
        )

    def detach(self, device: Device, mailbox: Mailbox) -> None:
        held = self._here.of(device)
        if held is None or held.mailbox is not mailbox:
            return
        self._remove(held)
        leaving = DETACH(self._expiries, self._users, device.user_id, device.client_id, held.name, held.before)
        if self._link.up:
            self._link.post(leaving, lambda answer: self._left(device, leaving) if answer is None else None)
        else:
            self._left(device, leaving)

    def send(self, user_id: UserId, event: PresenceEvent, *, besides: ClientId | None = None) -> None:
        self._here.deliver(user_id, event, besides)
        channel = self._channel(user_id)
        told = told_bytes(self._link.process, next(self._sent), besides or "", event)
        command = SEND([f"{channel}:sent"], channel, told, round(KEPT_S * 1000), MOST_HEARD)
        self._link.post(command, keep_s=KEPT_S)

    async def broadcast(self, event: PresenceEvent) -> None:
        await self._announcements.make(event)

    async def count(self) -> int:
        here = sum(1 for _ in self._here.all())
        try:
            [everywhere] = await self._link.ask(COUNT(self._expiries))
        except Away:
            return here
        return max(here, int(everywhere))

    # -- what is heard ---------------------------------------------------------------------------------------------

    def _hear(self, user_id: UserId, data: bytes) -> None:
        kind, _, rest = data.partition(b" ")
        if kind == b"replaced":
            self._replaced(user_id, rest.decode())
        elif kind in (b"joined", b"left"):
            self._hear_change(user_id, PresenceChanged(ClientId(rest.decode()), PresenceStatus(kind.decode())))
        else:
            self._hear_sent(user_id, data, math.inf)

    def _hear_change(self, user_id: UserId, change: PresenceChanged) -> None:
        present = self._here.users.get(user_id)
        if present is None:
            return
        if change.status is PresenceStatus.LEFT and change.client_id in present.devices:
            return  # it is here; an earlier connection of it has left, or this process was asleep
        present.tell(present.device_set.hear(change))

    def _hear_sent(self, user_id: UserId, data: bytes, latest: float) -> None:
        told, present = decode_told(data), self._here.users.get(user_id)
        if present is not None and told.process != self._link.process and present.is_new(told.process, told.number):
            self._here.deliver(user_id, told.event(), ClientId(told.besides) if told.besides else None, latest)

    def _replaced(self, user_id: UserId, connection: str) -> None:
        if held := self._here.named(user_id, connection):
            self._remove(held)
            held.mailbox.replaced()

    def _announce(self, event: PresenceEvent, age_s: float) -> None:
        self._here.announce(event, _now() - age_s)

    # -- alone -----------------------------------------------------------------------------------------------------

    def _alone(self, held: Held) -> None:
        if self._here.of(held.device) is held:
            self._decide(held.device, PresenceStatus.JOINED)

    def _left(self, device: Device, leaving: Command) -> None:
        if self._here.of(device) is None:
            self._decide(device, PresenceStatus.LEFT)
        self._link.post(leaving, keep_s=KEPT_S)

    def _decide(self, device: Device, status: PresenceStatus) -> None:
        """Redis is away. The others hear of it when it is back."""
        if present := self._here.users.get(device.user_id):
            present.tell(present.device_set.decide(PresenceChanged(device.client_id, status)))

    # -- what Redis is told ----------------------------------------------------------------------------------------

    async def _keep_renewed(self) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            self._claims.renew()
            self._sweep()

    def _sweep(self) -> None:
        """Again at once where there were more of them: a worker that died may have had thousands."""
        self._link.post(
            SWEEP(self._expiries, self._users, SWEPT_AT_ONCE),
            lambda swept: self._sweep() if swept == SWEPT_AT_ONCE else None,
        )

    def _returned(self) -> None:
        self._claims.repeat()
        for some in portions(list(self._here.users)):
            self._link.post(SENT([], self._users, *some), partial(self._catch_up, some))
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(self._settled_s, self._settle)

    def _refused(self, held: Held) -> None:
        if self._here.of(held.device) is held:
            self._remove(held)
            # Where it was alone with it, this process has told that it joined.
            self._hear_change(held.device.user_id, PresenceChanged(held.device.client_id, PresenceStatus.LEFT))
            held.mailbox.refused()

    def _catch_up(self, users: list[UserId], answer: Any) -> None:
        """What was sent while the channels were not heard; not to those who have come since."""
        redis_now, sent = answer or (0, ())
        for user_id, entries in zip(users, sent, strict=False):
            for number, [_, told] in entries:
                age_s = (redis_now - int(number.partition(b"-")[0])) / 1000
                self._hear_sent(user_id, told, _now() - age_s)

    def _settle(self) -> None:
        """Asks which devices there are: what was said meanwhile was not heard, and who died told nobody."""
        for some in portions([user_id for user_id, present in self._here.users.items() if present.device_set.known]):
            asked = [(present := self._here.users[user_id], present.device_set.asking()) for user_id in some]
            self._link.post(DEVICES([], self._users, *some), partial(self._settled, asked))

    def _settled(self, asked: list[tuple[Present, int]], answers: Any) -> None:
        for (present, question), there in zip(asked, answers or itertools.repeat(None), strict=False):
            clients = None if there is None else client_ids(there) | present.devices.keys()
            present.tell(present.device_set.answered(question, clients))

    def _remove(self, held: Held) -> None:
        self._here.remove(held)
        if held.device.user_id not in self._here.users:
            self._link.forget(self._channel(held.device.user_id))

    def _channel(self, user_id: UserId) -> str:
        return f"{self._users}{user_id}"


def _now() -> float:
    return asyncio.get_running_loop().time()
