"""What the package stores during one request that is to be answered by a run."""

from chatkit.store import StoreItemType
from chatkit.types import ThreadItem as ChatKitItem
from chatkit.types import ThreadMetadata, UserMessageItem

from chatorch.domain.model.identity import Principal
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.commands import Allotted
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.chatkit.asked_calls import SaidSince
from chatorch.entrypoints.chatkit.store import ThreadItems
from chatorch.ports.system import IdFactory


class StagedStore(ThreadItems):
    """Holds back what the run's own transaction writes: the user's message, with its thread; what a retry takes out.

    So nothing is half done when the run cannot be opened. What was allotted to the turn are the ids that it gives.
    """

    def __init__(
        self,
        conversations: Conversations,
        items: Annotations,
        ids: IdFactory,
        said_since: SaidSince,
        *,
        allotted: Allotted,
        retries: bool,
    ) -> None:
        super().__init__(conversations, items, ids, said_since)
        self.message: UserMessageItem | None = None
        self.thread: ThreadMetadata | None = None
        self._allotted = allotted
        self._retries = retries

    def generate_thread_id(self, context: Principal) -> str:
        return self._allotted.thread_id

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: Principal) -> str:
        if item_type == "message" and self.message is None:
            return self._allotted.message_id
        return super().generate_item_id(item_type, thread, context)

    async def load_thread(self, thread_id: str, context: Principal) -> ThreadMetadata:
        loaded = await super().load_thread(thread_id, context)
        self.thread = loaded.model_copy(deep=True)
        return loaded

    async def add_thread_item(self, thread_id: str, item: ChatKitItem, context: Principal) -> None:
        if isinstance(item, UserMessageItem) and self.message is None:
            self.message = item
            return
        await super().add_thread_item(thread_id, item, context)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Principal) -> None:
        if not self._retries:
            await super().delete_thread_item(thread_id, item_id, context)

    async def before(self, thread_id: str, context: Principal) -> ThreadMetadata | None:
        """Of the turn's own thread it is known: not there, until the run is opened."""
        if self.thread is not None and thread_id == self.thread.id:
            return self.thread
        return None if thread_id == self._allotted.thread_id else await super().before(thread_id, context)

    def opened(self, title: str) -> None:
        """The run's transaction has written what was held back."""
        if new := self._new.pop(self._allotted.thread_id, None):
            self.thread = new.model_copy(update={"title": title})
