"""The calls of a message, with what was said to them: read where they are shown, and where one is answered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from chatorch.domain.model.annotations import NotedMessage, SideItem, item_id
from chatorch.domain.model.call_answers import Answer
from chatorch.domain.model.calls import LIVE, Standing, calls_in, results_in
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Message, MessageId, MessageStatus, Role, RunId, ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.parts import Part, PartKind
from chatorch.domain.model.tools import CallStatus
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.commands import AnswerCalls
from chatorch.entrypoints.chatkit.call_states import NOTHING_KEPT, CallStates
from chatorch.entrypoints.chatkit.earlier_calls import EarlierCalls
from chatorch.entrypoints.chatkit.kept_answers import answer_in, kept_answer, kept_answer_id

SaidSince = Callable[[Principal, MessageId, Content], Awaitable[Sequence[Message]]]
"""`chatorch.domain.services.runs.Runs.waited_for`."""

A_FEW = 20


@dataclass(frozen=True)
class AskedCalls:
    """Of one message. `kept` are answers that wait for others."""

    message: Message
    standing: Standing
    live_run: RunId | None = None
    kept: Mapping[str, Answer] = field(default_factory=dict)

    @cached_property
    def waiting(self) -> dict[str, int]:
        """The calls that somebody is to say something to, with their indexes, in order."""
        parts = self.message.parts
        if self.standing.live or not self.standing.complete:
            return {}
        answered = results_in(parts)
        return {
            str(call.head["id"]): index
            for index, call in enumerate(parts)
            if call.kind is PartKind.TOOL_CALL
            and call.head.get("id") not in answered
            and self.standing.status_of(call) is CallStatus.PENDING
        }

    @property
    def _shown_kept(self) -> Mapping[str, Answer]:
        """Where all were answered and still nothing came of it, all are asked for again."""
        return NOTHING_KEPT if self.waiting.keys() <= self.kept.keys() else self.kept

    @cached_property
    def states(self) -> CallStates:
        return CallStates(self.message.parts, self.standing, self._shown_kept)

    @property
    def earlier(self) -> EarlierCalls:
        return EarlierCalls(self.message, self.standing, self._shown_kept)

    def call(self, call_id: str) -> Part | None:
        return next((call for call in calls_in(self.message.parts) if call.head["id"] == call_id), None)

    def asks(self, call_id: str) -> bool:
        """Whether an answer to it is taken now."""
        index = self.waiting.get(call_id)
        return index is not None and self.states.of(self.message.parts[index]).asks

    def answered_by(self, answers: Sequence[Answer]) -> "AskedCalls":
        """As it stands when the next run has been opened."""
        results = {each.call_id: result for each in answers if (result := each.result()) is not None}
        standing = replace(self.standing, answered={**self.standing.answered, **results}, gone_on=True)
        return AskedCalls(self.message, standing)


class CallReader:
    """What is theirs of a `Principal`'s."""

    def __init__(self, said_since: SaidSince, items: Annotations) -> None:
        self._said_since = said_since
        self._items = items

    async def of(self, principal: Principal, message: Message) -> AskedCalls:
        if message.status is MessageStatus.STREAMING:
            return AskedCalls(message, LIVE)
        since = await self._said_since(principal, message.id, message.whole)
        next_run = (m.run_id for m in since if m.role is Role.ASSISTANT and m.status is MessageStatus.STREAMING)
        asked = AskedCalls(message, Standing.behind(message, since), next(next_run, None))
        return await self._with_kept(principal, asked) if len(asked.waiting) > 1 else asked

    async def _with_kept(self, principal: Principal, asked: AskedCalls) -> AskedCalls:
        kept: dict[str, Answer] = {}
        message = asked.message
        for index in asked.waiting.values():
            with suppress(NotFound):
                item = await self._items.read(principal, message.thread_id, kept_answer_id(message.id, index))
                if isinstance(item, SideItem):
                    answer = answer_in(item)
                    kept[answer.call_id] = answer
        return AskedCalls(message, asked.standing, asked.live_run, kept)

    async def newest(self, principal: Principal, thread_id: ThreadId) -> AskedCalls | None:
        """Of the message that a thread ends with, if that is no question of the user's."""
        after = None
        while True:
            page = await self._items.page(principal, thread_id, limit=A_FEW, after=after, descending=True)
            for item in page.items:
                match item:
                    case NotedMessage(message=message) if message.role is Role.ASSISTANT:
                        return await self.of(principal, message)
                    case NotedMessage(message=message) if message.role is Role.USER:
                        return None
            if not page.has_more:
                return None
            after = item_id(page.items[-1])

    async def keep(
        self, principal: Principal, asked: AskedCalls, answer: Answer, now: datetime
    ) -> tuple[AskedCalls, AnswerCalls | None]:
        """Takes an answer to a call; with the last one there is something to go on with.

        That one is not kept: where it cannot be gone on with, it is asked for again. Of two that come at once and are
        the last both are kept, and both go on.
        """
        if not asked.asks(answer.call_id):
            return asked, None
        known = {**asked.kept, answer.call_id: answer}
        if not asked.waiting.keys() <= known.keys():
            message, index = asked.message, asked.waiting[answer.call_id]
            item = kept_answer(message.thread_id, message.id, index, answer, now)
            await self._items.put(principal, message.thread_id, item)
            asked = await self._with_kept(principal, asked)
            known = dict(asked.kept)
            if not asked.waiting.keys() <= known.keys():
                return asked, None
        answers = tuple(known[call_id] for call_id in asked.waiting)
        return asked.answered_by(answers), AnswerCalls(asked.message.thread_id, answers)
