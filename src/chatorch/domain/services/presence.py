"""Who is connected, and telling them."""

from collections.abc import Iterator
from contextlib import contextmanager

from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.policy import require_scope
from chatorch.domain.model.presence import Announcement, ClientId, Device
from chatorch.ports.connections import Connections, Mailbox
from chatorch.ports.system import Clock

MAX_ANNOUNCEMENT_CHARS = 4000


class Presence:
    """The connections of users, whatever door they came through."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    @contextmanager
    def connected(self, principal: Principal, client_id: ClientId, mailbox: Mailbox) -> Iterator[None]:
        """As long as it lasts, the mailbox gets what is for this user; the user's other devices hear of it."""
        device = Device(principal.user_id, client_id)
        self._connections.attach(device, mailbox)
        try:
            yield
        finally:
            self._connections.detach(device, mailbox)

    async def announce(self, principal: Principal, text: str) -> Announcement:
        """Tells everyone who is connected. Raises `InsufficientScope`, `InvalidField`, `Unavailable`."""
        require_scope(principal, Scope.ADMIN)
        if not 1 <= len(text) <= MAX_ANNOUNCEMENT_CHARS:
            raise InvalidField("text", f"must be 1 to {MAX_ANNOUNCEMENT_CHARS} characters")
        announcement = Announcement(text, self._clock.now())
        await self._connections.broadcast(announcement)
        return announcement

    async def count(self) -> int:
        """How many connections there are in all processes."""
        return await self._connections.count()
