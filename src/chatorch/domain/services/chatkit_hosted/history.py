"""A user's ChatKit history, where the provider keeps it."""

from chatorch.domain.model.chatkit_hosted.errors import HostedNotFound
from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread, require_hosted_id, require_own
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import Page, PageRequest, bad_cursor
from chatorch.domain.model.upstream_errors import UpstreamInvalid, UpstreamRejected
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitOffer
from chatorch.ports.chatkit_hosted.provider import HostedThreads


class HostedHistory:
    """What belongs to somebody else is `NotFound`. Raises `ChatKitNotConfigured` and `UpstreamError`s."""

    def __init__(self, *, threads: HostedThreads, offer: ChatKitOffer) -> None:
        self._threads = threads
        self._offer = offer

    async def list_threads(self, principal: Principal, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
        """The principal's own. Raises `InvalidField` for a cursor that the provider does not take."""
        self._offer.require()
        try:
            found = await self._threads.list_threads(principal.user_id, page)
        except UpstreamRejected:
            if page.after is None:
                raise
            raise bad_cursor() from None
        if any(thread.user_id != principal.user_id for thread in found.items):
            raise UpstreamInvalid
        return found

    async def read(self, principal: Principal, thread_id: str) -> HostedThread:
        require_hosted_id(thread_id)
        self._offer.require()
        try:
            return require_own(await self._threads.read_thread(thread_id), principal)
        except HostedNotFound:
            raise NotFound from None

    async def items(self, principal: Principal, thread_id: str, page: PageRequest[HostedCursor]) -> Page[HostedItem]:
        """Raises `InvalidField` for a cursor that the provider does not take."""
        await self.read(principal, thread_id)
        try:
            return await self._threads.list_items(thread_id, page)
        except UpstreamRejected as error:
            if page.after is not None:
                raise bad_cursor() from None
            if isinstance(error, HostedNotFound):
                raise NotFound from None
            raise

    async def delete(self, principal: Principal, thread_id: str) -> None:
        await self.read(principal, thread_id)
        try:
            await self._threads.delete_thread(thread_id)
        except HostedNotFound:
            raise NotFound from None
