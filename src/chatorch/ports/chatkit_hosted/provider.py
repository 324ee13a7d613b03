"""ChatKit as the provider hosts it: sessions for browsers, and the threads that they leave there."""

from abc import abstractmethod
from typing import Protocol

from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.chatkit_hosted.session import IssuedSession
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import Page, PageRequest


class SessionProvider(Protocol):
    """Raises `UpstreamError`s, none of which tells anything of the provider's body; never later than its deadline."""

    @abstractmethod
    async def create(self, user_id: UserId, workflow_id: str) -> IssuedSession:
        """Asks once. `WorkflowNotFound` where the provider has none of this id.

        After `UpstreamAuthFailed`, `UpstreamRejected` and `UpstreamRateLimited` there is no session; after any other
        error there may be one.
        """
        ...

    @abstractmethod
    async def cancel(self, upstream_id: str) -> None:
        """From then on its secret is worth nothing. A no-op where there is no such session."""
        ...


class HostedThreads(Protocol):
    """Raises `UpstreamError`s as above, and `HostedNotFound` for a thread that is not there.

    The provider looks at no owner but in a list: whoever calls does. Ids are those that `require_hosted_id` lets pass.
    """

    @abstractmethod
    async def list_threads(self, user_id: UserId, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
        """This user's, by time of creation."""
        ...

    @abstractmethod
    async def read_thread(self, thread_id: str) -> HostedThread: ...

    @abstractmethod
    async def list_items(self, thread_id: str, page: PageRequest[HostedCursor]) -> Page[HostedItem]:
        """By time of creation."""
        ...

    @abstractmethod
    async def delete_thread(self, thread_id: str) -> None:
        """With all its items."""
        ...
