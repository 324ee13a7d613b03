"""Where transactions run. A transaction is a synchronous function over a connection, the same on both databases."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from chatorch.adapters.sql.writable import Writes, look, try_out, why_refused
from chatorch.domain.model.errors import NotWritable, StoreUnavailable

POOL_SIZE = 5
POOL_TIMEOUT = 5.0
HEARTBEAT_TIMEOUT = 2.0
"""Seconds for a statement of a heartbeat, and of who watches them: a connection may be dead without a word, and within
the lease there must be time for another one."""

T = TypeVar("T")

Work = Callable[[Connection], T]


class Database(ABC):
    """Runs transactions, each as a whole or not at all.

    Raises `StoreUnavailable` when the database does not answer within its time limits. A caller that is cancelled
    stops waiting; its transaction runs to its end all the same, or does not begin.
    """

    chains = False
    """Whether one statement may write to several tables."""

    def __init__(self) -> None:
        self.writes = Writes()

    @abstractmethod
    async def start(self) -> None:
        """Makes sure of the schema. Raises `SchemaMismatch` where only an operator can."""
        ...

    @abstractmethod
    async def look(self) -> None:
        """As `start`, but changes nothing, not even on SQLite: for a command that only reads."""
        ...

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Runs work that writes nothing."""
        ...

    @abstractmethod
    async def write(self, work: Work[T], *, owner: str | None = None) -> T:
        """Runs work in a transaction: committed when it returns, rolled back when it raises.

        Where `owner` is named, only so many of theirs run at once that others are served too.
        """
        ...

    @abstractmethod
    async def write_alone(self, work: Work[T], owner: str) -> T:
        """As `write`, one at a time of this owner in all processes, so that caps and keys hold."""
        ...

    @abstractmethod
    async def write_once(self, work: Work[T]) -> T:
        """As `write`, for work that executes one statement, which is a transaction by itself."""
        ...

    @abstractmethod
    async def write_first(self, work: Work[T]) -> T:
        """As `write`, before all that waits for its turn: for heartbeats, which must not be late."""
        ...

    @abstractmethod
    async def write_at_once(self, work: Work[T]) -> T:
        """As `write`, but raises `StoreUnavailable` where it would have to wait for a lock, and holds nobody up."""
        ...

    @abstractmethod
    async def alter(self, work: Work[T]) -> T:
        """Runs work that changes the schema, in one transaction, however long it takes."""
        ...

    @abstractmethod
    def in_use(self) -> int:
        """How many connections are checked out now."""
        ...

    @abstractmethod
    def size(self) -> int:
        """How many connections there may be at most."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """Waits for what has begun, then closes all connections. Nothing runs afterwards."""
        ...

    async def ping(self) -> None:
        """Returns when the database would take a transaction that writes. Raises `NotWritable` where it says why not.

        Nothing is written, unless the last write was refused: then one that changes nothing is tried.
        """
        if self.writes.refused is None:
            await self.write(look)
            return
        try:
            await self.write(try_out)
        except StoreUnavailable as error:
            if isinstance(error, NotWritable) or why_refused(error.__cause__) is None:
                raise
            raise NotWritable(self.writes.refused, error.reason) from error
        self.writes.refused = None
