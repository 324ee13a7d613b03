"""Closing connections whose token is no good any more: it has run out, or its user has lost access meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from chatorch.domain.services.identity.identify import Identify
from chatorch.entrypoints.common.websocket.closing import BAD_TOKEN
from chatorch.entrypoints.common.websocket.speech import OpenSocket
from chatorch.ports.system import Clock


class TokenExpiry:
    """Of all connections of this process: a look takes one query. One that has brought another token goes by that, and
    a guest has none."""

    def __init__(self, identify: Identify, clock: Clock) -> None:
        self._identify = identify
        self._clock = clock
        self._open: set[OpenSocket] = set()

    @contextmanager
    def watching(self, socket: OpenSocket) -> Iterator[None]:
        """As long as it lasts, each look may close this connection."""
        self._open.add(socket)
        try:
            yield
        finally:
            self._open.discard(socket)

    async def check(self) -> None:
        """Raises `StoreUnavailable`, when all whose token has run out are closed."""
        now = self._clock.now()
        for socket in list(self._open):
            if socket.holder.expired(now):
                socket.hang_up(BAD_TOKEN)
        held = {socket.holder: socket for socket in self._open if not socket.holder.principal.guest}
        if not held:
            return
        for holder in await self._identify.revoked(held):
            if held[holder].holder is holder:  # else it has brought another one meanwhile
                held[holder].hang_up(BAD_TOKEN)
