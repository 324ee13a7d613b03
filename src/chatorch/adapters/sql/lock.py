"""Alone or not: the lock on a store. Who shares no run log with others holds it alone, and those who do together."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

_ADVICE = "stop it, or set REDIS_URL on all of them to run several"
LOST = "this process does not hold the lock on the store now"


class StoreLocked(Exception):
    """Another process holds the store. Its text is one line that says what to do."""


def refusal(database: str = "", holder: str = "") -> str:
    """For both sides: the other may hold it alone, or together with more that have REDIS_URL set."""
    return f"Another chatorch process{holder} uses the database{database}: {_ADVICE}."


class StoreLock(ABC):
    """Held by one process at a time, or, `shared`, by any number; gone with the process, however it ends.

    It is looked after while it is held. What was lost is taken again as soon as that can be done; that is logged.
    """

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self._taken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @abstractmethod
    async def acquire(self) -> None:
        """Takes the lock or raises `StoreLocked` at once; `StoreUnavailable` where the store does not answer."""
        ...

    @abstractmethod
    async def confirm(self) -> None:
        """Looks now. Raises `StoreUnavailable` unless it is held; nothing of others may be ended then."""
        ...

    def is_new(self) -> bool:
        """Whether nobody holds it, for there is not yet what is held."""
        return False

    async def taken(self) -> None:
        """Returns when another process holds alone what this one held alone, and has to stop; else never."""
        await self._taken.wait()

    async def release(self) -> None:
        """Gives it back. A no-op where it is not held."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._give_back()

    def _look_after(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name="store-lock")

    @abstractmethod
    async def _keep(self) -> None:
        """For ever: notices when it is lost, and takes it again; sets `_taken` where that cannot be."""
        ...

    @abstractmethod
    async def _give_back(self) -> None: ...
