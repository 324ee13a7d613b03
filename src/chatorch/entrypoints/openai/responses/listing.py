"""What is in a thread as items, and pages of them: an answer may be several."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.openai.responses.brought import brought_views, output_text
from chatorch.entrypoints.openai.responses.call_items import AskedCalls
from chatorch.entrypoints.openai.responses.ids import ITEM_PREFIXES, part_of
from chatorch.entrypoints.openai.responses.items import COMPLETED, IN_PROGRESS, INCOMPLETE, Json
from chatorch.entrypoints.openai.responses.output import NOTHING_ASKED, output_of
from chatorch.entrypoints.openai.responses.turns import answers_others, turn_before

_STATUSES = {
    MessageStatus.STREAMING: IN_PROGRESS,
    MessageStatus.COMPLETE: COMPLETED,
    MessageStatus.INCOMPLETE: INCOMPLETE,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of items: `limit` of them behind the item `after`, and none from the message `end` on."""

    limit: int
    after: str | None = None
    descending: bool = True
    end: MessageId | None = None


def item_views(message: Message, asked: AskedCalls = NOTHING_ASKED) -> list[Json]:
    """`asked` are calls that earlier messages of its turn asked for."""
    status = _STATUSES[message.status]
    if message.role is Role.ASSISTANT and message.run_id is not None:
        return output_of(message.run_id, message.whole, status, asked)
    if message.parts:
        return brought_views(message, status, asked)
    view = {"id": message.id, "type": "message", "status": status, "role": message.role.value}
    if message.role is Role.ASSISTANT:
        return [{**view, "content": [output_text(message.content)]}]
    return [{**view, "content": [{"type": "input_text", "text": message.content}]}]


def list_view(items: list[Json], *, has_more: bool) -> Json:
    ids = [item["id"] for item in items] or [""]
    return {"object": "list", "data": items, "first_id": ids[0], "last_id": ids[-1], "has_more": has_more}


class Items:
    """The items of one thread, as its owner sees them."""

    def __init__(self, principal: Principal, thread_id: ThreadId, annotations: Annotations, runs: Runs) -> None:
        self._principal = principal
        self._thread_id = thread_id
        self._annotations = annotations
        self._runs = runs

    async def page(self, wanted: Wanted) -> Json:
        """Raises `NotFound`, and `InvalidField` for a bad `after`."""
        found: list[Json] = []
        async for item in self._from(wanted):
            if len(found) == wanted.limit:
                return list_view(found, has_more=True)
            found.append(item)
        return list_view(found, has_more=False)

    async def message_of(self, item_id: str) -> Message:
        """In which the item is. Raises `NotFound`."""
        message_id = MessageId(item_id)
        if (part := part_of(item_id)) is not None:
            try:
                message_id = (await self._runs.read(self._principal, part.run_id)).message_id
            except NotFound:
                message_id = message_id if part.prefix in ITEM_PREFIXES.values() else part.message_id
        item = await self._annotations.read(self._principal, self._thread_id, message_id)
        if not isinstance(item, NotedMessage):
            raise NotFound
        return item.message

    async def read(self, item_id: str) -> Json:
        """Raises `NotFound`."""
        views = await self._views(await self.message_of(item_id))
        found = next((view for view in views if view["id"] == item_id), None)
        if found is None:
            raise NotFound
        return found

    async def _views(self, message: Message) -> list[Json]:
        if not answers_others(message):
            return item_views(message)
        turn = await turn_before(self._principal, self._thread_id, self._annotations, message)
        return item_views(message, turn.calls)

    async def _from(self, wanted: Wanted) -> AsyncIterator[Json]:
        descending = wanted.descending
        cursor = wanted.end if descending else None
        if wanted.after is not None:
            message, rest = await self._rest(wanted.after, descending=descending)
            if not descending and message.id == wanted.end:
                return
            cursor = message.id
            for item in rest:
                yield item
        more = True
        while more:
            page = await self._annotations.page(
                self._principal, self._thread_id, limit=wanted.limit + 1, after=cursor, descending=descending
            )
            more = page.has_more
            for each in page.items:
                if not isinstance(each, NotedMessage):
                    cursor = MessageId(each.id)
                    continue
                if each.message.id == wanted.end:
                    return
                cursor = each.message.id
                views = await self._views(each.message)
                for view in reversed(views) if descending else views:
                    yield view

    async def _rest(self, after: str, *, descending: bool) -> tuple[Message, list[Json]]:
        """The message that the item is in, and what of it comes behind the item."""
        try:
            message = await self.message_of(after)
        except NotFound:
            raise InvalidField("after", "must be an item of this list") from None
        views = await self._views(message)
        views = views[::-1] if descending else views
        place = next((place for place, view in enumerate(views) if view["id"] == after), len(views))
        return message, views[place + 1 :]
