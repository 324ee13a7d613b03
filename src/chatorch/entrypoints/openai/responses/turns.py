"""A turn that has gone on over several responses: which calls the earlier ones asked for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.calls import calls_in
from chatorch.domain.model.conversation import JsonObject, Message, Role, RunId, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run
from chatorch.domain.services.annotations import Annotations
from chatorch.entrypoints.openai.responses.call_items import Asked
from chatorch.entrypoints.openai.responses.going_on import noted
from chatorch.entrypoints.openai.responses.ids import APPROVAL_REQUEST, item_id, response_id
from chatorch.entrypoints.openai.responses.view import ResponseView

_AT_ONCE = 20


@dataclass(slots=True)
class TurnSoFar:
    """`calls` by their ids; `asking` is the newest run of it; `metadata` is that of the user's message."""

    calls: dict[str, Asked] = field(default_factory=dict)
    asking: RunId | None = None
    metadata: JsonObject = field(default_factory=dict)

    def add(self, message: Message) -> None:
        """From the newest to the oldest."""
        if message.role is not Role.ASSISTANT or message.run_id is None:
            return
        self.asking = self.asking or message.run_id
        self.calls = {**asked_by(message.run_id, message), **self.calls}


def asked_by(run_id: RunId, said: Message | Run) -> dict[str, Asked]:
    """The calls that a run asked for."""
    parts = said.whole.parts if isinstance(said, Message) else said.content.parts
    indexes = {id(part): index for index, part in enumerate(parts)}
    return {
        str(call.head["id"]): Asked(call, item_id(APPROVAL_REQUEST, run_id, indexes[id(call)]))
        for call in calls_in(parts)
    }


async def turn_before(
    principal: Principal, thread_id: ThreadId, annotations: Annotations, message: Message | None = None
) -> TurnSoFar:
    """What was said since the user's last message, before this one, or up to the end."""
    turn = TurnSoFar()
    async for earlier in _backwards(principal, thread_id, annotations, message):
        if earlier.role is Role.USER:
            turn.metadata = earlier.metadata
            break
        turn.add(earlier)
    return turn


async def _backwards(
    principal: Principal, thread_id: ThreadId, annotations: Annotations, message: Message | None
) -> AsyncIterator[Message]:
    after: str | None = message.id if message else None
    more = True
    while more:
        page = await annotations.page(principal, thread_id, limit=_AT_ONCE, after=after, descending=True)
        more = page.has_more
        for item in page.items:
            after = item.message.id if isinstance(item, NotedMessage) else item.id
            if isinstance(item, NotedMessage):
                yield item.message


async def turn_behind(principal: Principal, run: Run, annotations: Annotations) -> AsyncIterator[Message]:
    """What was said to the user's message that the run answers, oldest first."""
    after: str = run.user_message_id
    more = True
    while more:
        page = await annotations.page(principal, run.thread_id, limit=_AT_ONCE, after=after)
        more = page.has_more
        for item in page.items:
            after = item.message.id if isinstance(item, NotedMessage) else item.id
            if isinstance(item, NotedMessage):
                if item.message.role is Role.USER:
                    return
                yield item.message


def answers_others(message: Message) -> bool:
    """Whether it has results of calls that stand in other messages."""
    own = {str(call.head["id"]) for call in calls_in(message.parts)}
    results = (part for part in message.parts if part.kind is PartKind.TOOL_RESULT)
    return any(str(result.head.get("call_id")) not in own for result in results)


async def view_of(principal: Principal, run: Run, annotations: Annotations) -> ResponseView:
    """Raises `NotFound`, also for what has left its conversation."""
    said = await annotations.read(principal, run.thread_id, run.message_id)
    asked = await annotations.read(principal, run.thread_id, run.user_message_id)
    if not isinstance(asked, NotedMessage) or not isinstance(said, NotedMessage):
        raise NotFound
    note = noted(asked.note)
    if said.message.position == asked.message.position + 1:
        return ResponseView(run, note, asked.message.metadata)
    turn = await turn_before(principal, run.thread_id, annotations, said.message)
    if turn.asking is None:
        return ResponseView(run, note, asked.message.metadata)
    previous = None if note.get("conversation") else response_id(turn.asking)
    note = {**note, "previous_response_id": previous, "background": run.background}
    return ResponseView(run, note, asked.message.metadata, turn.calls)
