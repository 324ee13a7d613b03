"""What guests left. Nobody can read it again: they have no account."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol


class GuestThreadStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer."""

    @abstractmethod
    async def forget(self, before: datetime, limit: int) -> int:
        """Removes guests' threads that have not changed since then, with all that is in them, the oldest first.

        At most `limit`, and returns how many; none with a live run, none of a user's. Interactions stay. What another
        process removes at the same time is left to it.
        """
        ...

    @abstractmethod
    async def shed(self, keep: int, limit: int) -> int:
        """Where there are more than `keep` of guests' threads, removes the oldest of them, as `forget` does.

        The interactions of their runs go with them: whoever brings so many must not fill the store by that either.
        """
        ...
