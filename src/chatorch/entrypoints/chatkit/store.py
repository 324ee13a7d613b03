"""The package's `Store`, standing on our services: threads and messages are the rows that all doors show."""

from chatkit.store import Store, StoreItemType
from chatkit.types import Attachment, Page, ThreadMetadata
from chatkit.types import ThreadItem as ChatKitItem

from chatorch.domain.model.annotations import NotedMessage, SideItem, ThreadItem, item_id
from chatorch.domain.model.conversation import JsonObject, Role, Thread, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.paging import MAX_LIMIT, PageRequest, ThreadCursor
from chatorch.domain.model.titles import title_from
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.chatkit.asked_calls import CallReader, SaidSince
from chatorch.entrypoints.chatkit.items import from_chatkit, to_chatkit
from chatorch.entrypoints.chatkit.part_items import message_id_of
from chatorch.entrypoints.common.fields import MAX_TITLE_CHARS
from chatorch.ports.system import IdFactory
from chatorch.ports.threads import ThreadChange

_PREFIXES = {"message": "msg", "tool_call": "tc", "task": "tsk", "workflow": "wf", "attachment": "atc"}
AT_LEAST = 20
_NOTED = {"status", "allowed_image_domains", "metadata"}


class ThreadItems(Store[Principal]):
    """One for each request; the context is the `Principal`, so what is not theirs is `NotFound`.

    A new thread is held until it gets its first item: there are no empty threads.
    """

    def __init__(self, conversations: Conversations, items: Annotations, ids: IdFactory, said_since: SaidSince) -> None:
        self._conversations = conversations
        self._items = items
        self._ids = ids
        self.calls = CallReader(said_since, items)
        self._new: dict[str, ThreadMetadata] = {}

    def generate_thread_id(self, context: Principal) -> str:
        return self._ids.new("thr")

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: Principal) -> str:
        return self._ids.new(_PREFIXES.get(item_type, "itm"))

    # -- threads ---------------------------------------------------------------------------------------------------

    async def load_thread(self, thread_id: str, context: Principal) -> ThreadMetadata:
        if thread_id in self._new:
            return self._new[thread_id].model_copy(deep=True)
        thread = await self._conversations.thread(context, ThreadId(thread_id))
        notes = await self._items.notes(context, [thread.id])
        return _metadata(thread, notes.get(thread.id))

    async def save_thread(self, thread: ThreadMetadata, context: Principal) -> None:
        before = await self.before(thread.id, context)
        if before is None:
            self._new[thread.id] = thread.model_copy(deep=True)
            return
        if thread.title is not None and thread.title != before.title:
            change = ThreadChange(title=_checked(thread.title))
            await self._conversations.change(context, ThreadId(thread.id), change)
        if (note := _note(thread)) != _note(before):
            await self._items.put_note(context, ThreadId(thread.id), note)

    async def before(self, thread_id: str, context: Principal) -> ThreadMetadata | None:
        """As it is stored."""
        try:
            return None if thread_id in self._new else await self.load_thread(thread_id, context)
        except NotFound:
            return None

    async def load_threads(self, limit: int, after: str | None, order: str, context: Principal) -> Page[ThreadMetadata]:
        cursor = ThreadCursor.decode(after) if after else None
        request = PageRequest(_within(limit), cursor, descending=order == "desc")
        page = await self._conversations.threads(context, request)
        notes = await self._items.notes(context, [thread.id for thread in page.items])
        data = [_metadata(thread, notes.get(thread.id)) for thread in page.items]
        return Page(data=data, has_more=page.has_more, after=page.after)

    async def delete_thread(self, thread_id: str, context: Principal) -> None:
        if self._new.pop(thread_id, None) is None:
            await self._conversations.delete(context, ThreadId(thread_id))

    # -- items -----------------------------------------------------------------------------------------------------

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Principal
    ) -> Page[ChatKitItem]:
        if thread_id in self._new:
            return Page()
        limit, down = _within(limit), order == "desc"
        data = await self._rest(ThreadId(thread_id), after, context, descending=down) if after else []
        behind = message_id_of(after) if after else None
        read = max(limit - len(data), 1)
        while True:
            page = await self._items.page(context, ThreadId(thread_id), limit=read, after=behind, descending=down)
            shown: list[ChatKitItem] = []
            for item in page.items:
                data += (shown := await self._shown(item, context, descending=down))
            if len(data) > limit:
                return Page(data=data[:limit], has_more=True, after=data[limit - 1].id)
            if not page.has_more:
                return Page(data=data)
            behind = item_id(page.items[-1])
            if len(data) == limit:
                return Page(data=data, has_more=True, after=shown[-1].id if shown else behind)
            read = max(limit - len(data), AT_LEAST)  # much of it shows nothing: answers of tools

    async def _shown(self, item: ThreadItem, context: Principal, *, descending: bool = False) -> list[ChatKitItem]:
        calls = None
        if isinstance(item, NotedMessage) and item.message.parts and item.message.role is Role.ASSISTANT:
            calls = (await self.calls.of(context, item.message)).states
        shown = to_chatkit(item, calls)
        return shown[::-1] if descending else shown

    async def _rest(
        self, thread_id: ThreadId, after: str, context: Principal, *, descending: bool
    ) -> list[ChatKitItem]:
        """What a message has beyond one of its items."""
        try:
            item = await self._items.read(context, thread_id, message_id_of(after))
        except NotFound:  # of a message that was taken back its place is still known
            return []
        shown = await self._shown(item, context, descending=descending)
        places = [place for place, each in enumerate(shown) if each.id == after]
        return shown[places[0] + 1 :] if places else []

    async def load_item(self, thread_id: str, item_id: str, context: Principal) -> ChatKitItem:
        if thread_id in self._new:
            raise NotFound
        found = await self._shown(await self._items.read(context, ThreadId(thread_id), message_id_of(item_id)), context)
        for item in found:
            if item.id == item_id:
                return item
        raise NotFound

    async def add_thread_item(self, thread_id: str, item: ChatKitItem, context: Principal) -> None:
        await self.save_item(thread_id, item, context)

    async def save_item(self, thread_id: str, item: ChatKitItem, context: Principal) -> None:
        """Never writes over what a run wrote, nor over what is shown of it."""
        if message_id_of(item.id) != item.id and await self._is_part(ThreadId(thread_id), item.id, context):
            return
        new = self._new.get(thread_id)
        title = None if new is None else new.title or _first_title(item)
        await self._items.put(context, ThreadId(thread_id), from_chatkit(item), title)
        if new is not None:
            del self._new[thread_id]
            await self.save_thread(new, context)

    async def _is_part(self, thread_id: ThreadId, item_id: str, context: Principal) -> bool:
        try:
            await self.load_item(thread_id, item_id, context)
            return not isinstance(await self._items.read(context, thread_id, message_id_of(item_id)), SideItem)
        except NotFound:
            return False

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Principal) -> None:
        await self._items.remove(context, ThreadId(thread_id), item_id)

    # -- attachments -----------------------------------------------------------------------------------------------

    async def save_attachment(self, attachment: Attachment, context: Principal) -> None:
        raise no_attachments()

    async def load_attachment(self, attachment_id: str, context: Principal) -> Attachment:
        raise no_attachments()

    async def delete_attachment(self, attachment_id: str, context: Principal) -> None:
        raise no_attachments()


def no_attachments() -> InvalidField:
    return InvalidField("params.input.attachments", "attachments are not supported here")


def _metadata(thread: Thread, note: JsonObject | None) -> ThreadMetadata:
    kept = {"id": thread.id, "title": thread.title, "created_at": thread.created_at}
    return ThreadMetadata.model_validate({**(note or {}), **kept})


def _note(thread: ThreadMetadata) -> JsonObject:
    return thread.model_dump(include=_NOTED, mode="json")


def _within(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def _checked(title: str) -> str:
    if not 1 <= len(title) <= MAX_TITLE_CHARS or not title.strip():
        raise InvalidField("params.title", f"must be 1 to {MAX_TITLE_CHARS} characters, and not blank")
    return title


def _first_title(item: ChatKitItem) -> str:
    return title_from("".join(part.text for part in item.content) if item.type == "user_message" else "")
