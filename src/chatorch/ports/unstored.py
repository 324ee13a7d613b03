"""Threads that their clients do not want to be kept."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class UnstoredThreadStore(Protocol):
    @abstractmethod
    async def forget(self, before: datetime, limit: int) -> int:
        """Removes unstored threads that have not changed since then, with all that is in them, the oldest first.

        At most `limit`, and returns how many; none with a live run. Interactions stay. What another process removes at
        the same time is left to it. One transaction; raises `StoreUnavailable` when the store does not answer.
        """
        ...
