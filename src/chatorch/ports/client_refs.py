"""Threads by their clients' own ids."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.conversation import Thread
from chatorch.domain.model.identity import UserId


class ClientRefStore(Protocol):
    @abstractmethod
    async def find_thread(self, owner_id: UserId, client_ref: str) -> Thread | None:
        """The owner's thread of this name. Raises `StoreUnavailable` when the store does not answer."""
        ...
