"""The connections of one process that is alone."""

from collections.abc import Iterator

from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device, PresenceChanged, PresenceEvent, PresenceStatus
from chatorch.ports.connections import Connections, Mailbox

MOST = 20


class MemoryConnections(Connections):
    """`most`: of one user's."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_user: dict[UserId, dict[ClientId, Mailbox]] = {}

    def attach(self, device: Device, mailbox: Mailbox) -> None:
        devices = self._by_user.setdefault(device.user_id, {})
        older = devices.get(device.client_id)
        if older is None and len(devices) >= self._most:
            mailbox.refused()
            return
        devices[device.client_id] = mailbox
        if older is not None:
            older.replaced()
        else:
            self._tell(device, PresenceStatus.JOINED)

    def detach(self, device: Device, mailbox: Mailbox) -> None:
        devices = self._by_user.get(device.user_id, {})
        if devices.get(device.client_id) is not mailbox:
            return
        del devices[device.client_id]
        if not devices:
            del self._by_user[device.user_id]
        self._tell(device, PresenceStatus.LEFT)

    def send(self, user_id: UserId, event: PresenceEvent, *, besides: ClientId | None = None) -> None:
        for client_id, mailbox in list(self._by_user.get(user_id, {}).items()):
            if client_id != besides:
                mailbox.deliver(event)

    async def broadcast(self, event: PresenceEvent) -> None:
        for mailbox in list(self._all()):
            mailbox.deliver(event)

    async def count(self) -> int:
        return sum(1 for _ in self._all())

    def _all(self) -> Iterator[Mailbox]:
        for devices in self._by_user.values():
            yield from devices.values()

    def _tell(self, device: Device, status: PresenceStatus) -> None:
        self.send(device.user_id, PresenceChanged(device.client_id, status), besides=device.client_id)
