"""Who joined and left, as one connection is told: soon, and no more of it than it can use."""

import asyncio
from collections.abc import Callable

from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceStatus

GATHER_S = 0.25


class Gathered:
    """A join is told at once, unless another was told just now. The rest is gathered for `gather_s` and told together.

    Of a device that leaves and comes back meanwhile, or comes and leaves, nothing is said: so devices that come and go
    cost each of the others no more than one word a device in that time, however often they do.
    """

    __slots__ = ("_gather_s", "_tell", "_timer", "_untold")

    def __init__(self, tell: Callable[[PresenceChanged], None], gather_s: float = GATHER_S) -> None:
        self._tell = tell
        self._gather_s = gather_s
        self._untold: dict[ClientId, PresenceChanged] = {}
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, change: PresenceChanged) -> None:
        untold = self._untold.pop(change.client_id, None)
        if untold is not None and untold.status is not change.status:
            return
        if self._timer is None and change.status is PresenceStatus.JOINED:
            self._tell(change)
        else:
            self._untold[change.client_id] = change
        if self._timer is None:
            self._gather()

    def close(self) -> None:
        """Nothing is told any more."""
        self._untold.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _gather(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._gather_s, self._told)

    def _told(self) -> None:
        self._timer = None
        untold, self._untold = self._untold, {}
        if untold:
            self._gather()
        for change in untold.values():
            self._tell(change)
