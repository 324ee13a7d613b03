"""Turns before the pool: one owner's transactions may wait for a lock, and others still find a connection."""

import asyncio
from collections import deque

from chatorch.domain.model.errors import StoreUnavailable

MOST_WAITING = 100
BUSY = "Too many transactions of one owner wait; something of theirs is locked by another session."


class Turns:
    """At most `share` turns of one owner are out; others of that owner queue for `patience` seconds, in their order."""

    def __init__(self, share: int, patience: float, most_waiting: int = MOST_WAITING) -> None:
        self._share = share
        self._patience = patience
        self._most_waiting = most_waiting
        self._out: dict[str, int] = {}
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, owner: str) -> None:
        """Returns when it is this one's turn. Raises `StoreUnavailable` where too many wait, or for too long."""
        out = self._out.get(owner, 0)
        if out < self._share:
            self._out[owner] = out + 1
            return
        queue = self._queues.setdefault(owner, deque())
        if len(queue) >= self._most_waiting:
            raise StoreUnavailable(BUSY, retry_after=self._patience)
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn in queue:
                queue.remove(turn)
            else:  # it came at the very moment that nobody waited any more
                self.give_back(owner)
            if isinstance(error, TimeoutError):
                raise StoreUnavailable(BUSY) from None
            raise

    def give_back(self, owner: str) -> None:
        """To the next who waits, or to nobody."""
        queue = self._queues.get(owner)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._queues.pop(owner, None)
        left = self._out[owner] - 1
        if left:
            self._out[owner] = left
        else:
            del self._out[owner]

    def out(self) -> int:
        """How many turns are out now, of all owners."""
        return sum(self._out.values())
