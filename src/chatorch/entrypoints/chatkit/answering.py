"""Answers to calls: what is said, and the run that it opens once nothing else is waited for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.actions import Action

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.call_answers import Answer, CallOutput
from chatorch.domain.model.conversation import Message, MessageId, ThreadId
from chatorch.domain.model.errors import InvalidField, NotFound, ToolCallsAnswered
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.chatkit.asked_calls import AskedCalls, CallReader
from chatorch.entrypoints.chatkit.asking import decision_of, output_text
from chatorch.entrypoints.chatkit.call_items import is_ours


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to a call, and the message that asks for it."""

    asked: AskedCalls
    answer: Answer


@dataclass(frozen=True, slots=True)
class Heard:
    """How the calls stand after an answer, and the run that goes on with them, if one does."""

    asked: AskedCalls
    run: Run | None


class CallAnswers:
    def __init__(self, runs: Runs, items: Annotations, reader: CallReader) -> None:
        self._runs = runs
        self._items = items
        self._reader = reader

    async def decision(self, principal: Principal, thread_id: ThreadId, action: Action[str, Any]) -> Said | None:
        """What a press of a button says; None where it is none of ours. Raises `InvalidField`, `NotFound`."""
        decided = decision_of(action)
        if decided is None:
            return None
        message_id, decision = decided
        asked = await self._reader.of(principal, await self._message(principal, thread_id, message_id))
        call = asked.call(decision.call_id)
        if call is None:
            raise NotFound
        if not (is_ours(call) and call.head.get("needs_approval")):
            raise InvalidField("params.action.payload", "names a call that nobody is to decide on")
        return Said(asked, decision)

    async def output(self, principal: Principal, thread_id: ThreadId, result: Any) -> Said | None:
        """What came of the call that the page was shown as pending; None where there is none."""
        asked = await self._reader.newest(principal, thread_id)
        if asked is None:
            return None
        ours = (call_id for call_id, index in asked.waiting.items() if is_ours(asked.message.parts[index]))
        pending = [call_id for call_id in asked.waiting.keys() - set(ours) if asked.asks(call_id)]
        return Said(asked, CallOutput(pending[0], output_text(result))) if pending else None

    async def hear(self, principal: Principal, said: Said, now: datetime) -> Heard:
        """A second time is nothing, and neither is what was answered elsewhere meanwhile: it is shown as it stands."""
        asked, answers = await self._reader.keep(principal, said.asked, said.answer, now)
        if answers is not None:
            try:
                return Heard(asked, await self._runs.answer_calls(principal, answers))
            except ToolCallsAnswered:
                asked = await self._reader.of(principal, asked.message)
        return Heard(asked, None if asked.live_run is None else await self._runs.read(principal, asked.live_run))

    async def _message(self, principal: Principal, thread_id: ThreadId, message_id: MessageId) -> Message:
        match await self._items.read(principal, thread_id, message_id):
            case NotedMessage(message=message):
                return message
        raise NotFound
