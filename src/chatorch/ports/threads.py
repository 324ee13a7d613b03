"""Where threads and their messages are read and tidied. Opening a run is what writes messages: see `runs`."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from chatorch.domain.model.conversation import JsonObject, Message, MessageId, Thread, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import MessageCursor, Page, PageRequest, ThreadCursor
from chatorch.domain.model.run import Run


@dataclass(frozen=True, slots=True)
class ThreadChange:
    """What to change; None leaves as it is. `metadata` replaces all of it."""

    title: str | None = None
    metadata: JsonObject | None = None


class Question(NamedTuple):
    """A message of the user's, without what it says."""

    id: MessageId
    metadata: JsonObject


class ThreadStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    What belongs to another owner is `NotFound`. Superseded messages are never shown.
    """

    @abstractmethod
    async def list_threads(self, owner_id: UserId, page: PageRequest[ThreadCursor]) -> Page[Thread]:
        """By `(updated_at, id)`."""
        ...

    @abstractmethod
    async def read_thread(self, owner_id: UserId, thread_id: ThreadId) -> Thread: ...

    @abstractmethod
    async def update_thread(self, owner_id: UserId, thread_id: ThreadId, change: ThreadChange, now: datetime) -> Thread:
        """Changes it, moves `updated_at`, and returns it as it is now."""
        ...

    @abstractmethod
    async def delete_thread(self, owner_id: UserId, thread_id: ThreadId, now: datetime) -> None:
        """Removes the thread, its messages and its runs. Interactions stay.

        A run that is still live gets its interaction here, as cancelled by its user, with what its finished steps and
        earlier attempts have used; its executor finds it lost.
        """
        ...

    @abstractmethod
    async def list_messages(
        self, owner_id: UserId, thread_id: ThreadId, page: PageRequest[MessageCursor]
    ) -> Page[Message]:
        """By position."""
        ...

    @abstractmethod
    async def questions(self, owner_id: UserId, thread_id: ThreadId, text: str, limit: int) -> tuple[Question, ...]:
        """The user's messages that say exactly this, newest first."""
        ...

    @abstractmethod
    async def live_run(self, owner_id: UserId, thread_id: ThreadId) -> Run | None:
        """The thread's live run, if it has one."""
        ...
