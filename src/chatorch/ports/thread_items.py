"""Where a door finds a thread's messages together with what only it keeps beside them."""

from abc import abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from chatorch.domain.model.annotations import ItemPage, ThreadItem
from chatorch.domain.model.conversation import JsonObject, ThreadId
from chatorch.domain.model.identity import UserId


class ThreadItemStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    What belongs to another owner, or is in another thread, is `NotFound`. Superseded items are never shown.
    """

    @abstractmethod
    async def list_items(
        self, owner_id: UserId, thread_id: ThreadId, *, limit: int, after: str | None = None, descending: bool = False
    ) -> ItemPage:
        """By place, `limit` of them behind the item with the id `after`."""
        ...

    @abstractmethod
    async def read_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> ThreadItem: ...

    @abstractmethod
    async def put_item(self, owner_id: UserId, thread_id: ThreadId, item: ThreadItem, title: str | None = None) -> None:
        """Writes the item in its place, or at the thread's end if it is new; opens the thread where `title` is given.

        A message's position is the store's. One that a run writes, or wrote, is left alone. Raises `ThreadBusy` for a
        new message while the thread has a live run. `created_at` of a new item also moves the thread's `updated_at`.
        """
        ...

    @abstractmethod
    async def remove_item(self, owner_id: UserId, thread_id: ThreadId, item_id: str) -> None:
        """A message leaves the history, unless a live run writes it; a side item is deleted. Twice is nothing."""
        ...


class ThreadNoteStore(Protocol):
    """As `ThreadItemStore`."""

    @abstractmethod
    async def read_notes(self, owner_id: UserId, thread_ids: Collection[ThreadId]) -> Mapping[ThreadId, JsonObject]:
        """The notes of those threads that are the owner's and have one."""
        ...

    @abstractmethod
    async def put_note(self, owner_id: UserId, thread_id: ThreadId, note: JsonObject) -> None: ...

    @abstractmethod
    async def rate(
        self, owner_id: UserId, thread_id: ThreadId, item_ids: Collection[str], rating: str, now: datetime
    ) -> None:
        """What the owner thinks of these items; the last word counts. `NotFound`, and nothing, if one is not there."""
        ...
