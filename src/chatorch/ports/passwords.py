"""Hashing passwords."""

from abc import abstractmethod
from typing import Protocol


class PasswordHasher(Protocol):
    """Both methods are slow on purpose and run beside the event loop; when too many wait they raise `Overloaded`."""

    @abstractmethod
    async def hash(self, password: str) -> str:
        """A salted hash as a PHC string."""
        ...

    @abstractmethod
    async def verify(self, password_hash: str, password: str) -> bool:
        """False for a wrong password, and for something that is no hash. The same work either way."""
        ...
