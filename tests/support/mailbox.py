"""A connection that keeps what it is given."""

import asyncio

from chatorch.domain.model.presence import PresenceEvent
from chatorch.ports.connections import Mailbox


class KeptMailbox(Mailbox):
    def __init__(self) -> None:
        self.events: list[PresenceEvent] = []
        self.was_replaced = False
        self.was_refused = False
        self._changed = asyncio.Event()

    def deliver(self, event: PresenceEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def replaced(self) -> None:
        self.was_replaced = True
        self._changed.set()

    def refused(self) -> None:
        self.was_refused = True
        self._changed.set()

    async def until(self, *events: PresenceEvent, within: float = 5.0) -> None:
        """Waits until it has been given exactly these."""
        await self._until(lambda: self.events == list(events), within)

    async def until_replaced(self) -> None:
        await self._until(lambda: self.was_replaced, 5.0)

    async def until_refused(self) -> None:
        await self._until(lambda: self.was_refused, 5.0)

    async def _until(self, condition, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s; there is {self.events}, {self.was_replaced}") from None
