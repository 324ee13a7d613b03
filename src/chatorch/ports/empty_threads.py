"""Threads that are opened, and written into, before anything is answered in them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from chatorch.domain.model.conversation import Message, Thread, ThreadId
from chatorch.domain.model.identity import UserId


class EmptyThreadStore(Protocol):
    """Every method is one transaction, all of it or nothing, and raises `StoreUnavailable` when the store does not
    answer. A message's position is the store's."""

    @abstractmethod
    async def add_thread(self, thread: Thread, messages: Sequence[Message] = ()) -> None:
        """Writes a new thread, with these messages. One of the owner's that is there already is left as it is."""
        ...

    @abstractmethod
    async def add_messages(self, owner_id: UserId, thread_id: ThreadId, messages: Sequence[Message]) -> None:
        """Puts messages at a thread's end, and moves its `updated_at`. Nothing where one of these ids is there already.

        Raises `NotFound`, and `ThreadBusy` where there is something to write while the thread has a live run.
        """
        ...
