"""Whether this process may have traffic, as far as the store decides: looked at in the background, told at once."""

import asyncio
from typing import Protocol

import structlog

from chatorch.domain.model.errors import NotWritable
from chatorch.ports.system import Clock

EVERY_S = 1.0
LIMIT_S = 2.0
MISSED = 3
"""Looks in a row. One that is missed must not take a process, or all of them at once, out of service."""

WELL = "ok"

log = structlog.get_logger(__name__)


class Store(Protocol):
    async def ping(self) -> None: ...


class Readiness:
    """`store` is ``ok``, or why it is not: ``timeout``, ``unavailable``, or by name why it takes no writes.

    What is missed counts only after three looks in a row; a store that says itself that it takes no writes counts at
    once. One look that goes well ends either. However many ask, the store is looked at once a second.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = WELL
        self._store = store
        self._clock = clock
        self._missed = 0

    async def keep_looking(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    async def look(self) -> None:
        found = await self._found()
        if found in {"timeout", "unavailable"}:
            self._missed += 1
            if self._missed < MISSED and self.store == WELL:
                return
        else:
            self._missed = 0
        if found != self.store:
            change = log.info if found == WELL else log.warning
            change("readiness_changed", database=found)
        self.store = found

    async def _found(self) -> str:
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._store.ping()
        except NotWritable as error:
            return error.kind
        except TimeoutError:
            return "timeout"
        except Exception as error:
            if not self._missed:
                log.warning("database_check_failed", exc_info=error)
            return "unavailable"
        return WELL
