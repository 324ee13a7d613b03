"""Threads that are opened before anything is said in them."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.conversation import Thread


class EmptyThreadStore(Protocol):
    @abstractmethod
    async def add_thread(self, thread: Thread) -> None:
        """Writes a new thread, without messages. Raises `StoreUnavailable` when the store does not answer."""
        ...
