"""Where transactions run. A transaction is a synchronous function over a connection, the same on both databases."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, func, select

from chatorch.domain.model.errors import StoreUnavailable

T = TypeVar("T")

Work = Callable[[Connection], T]

_READ_ONLY = select(func.current_setting("transaction_read_only"))


class Database(ABC):
    """Runs transactions, each as a whole or not at all.

    Raises `StoreUnavailable` when the database does not answer within its time limits. A caller that is cancelled
    stops waiting; its transaction runs to its end all the same, or does not begin.
    """

    @abstractmethod
    async def start(self) -> None:
        """Makes sure of the schema. Raises `SchemaMismatch` where only an operator can."""
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
        """Returns when the database would take a transaction that writes; nothing is written."""
        await self.write(_ping)


def _ping(connection: Connection) -> None:
    """On SQLite the transaction has asked already: it begins by taking the lock on a file that can be written."""
    if connection.dialect.name == "postgresql" and connection.execute(_READ_ONLY).scalar_one() == "on":
        raise StoreUnavailable("PostgreSQL is read-only: a standby, or default_transaction_read_only.")
