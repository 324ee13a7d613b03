"""Turns that wait, in memory."""

from collections.abc import Iterable, Sequence

from chatorch.adapters.memory.runs import append, joined, open_in, require_room
from chatorch.adapters.memory.state import State, ThreadRecord
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.call_answers import UnknownCalls, results_of
from chatorch.domain.model.calls import calls_in
from chatorch.domain.model.conversation import Message, MessageId, Role, RunId, ThreadId
from chatorch.domain.model.errors import ChatorchError, NotFound, RunSuperseded, ThreadBusy, ToolCallsAnswered
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run
from chatorch.ports.calls import AnsweredCalls, CallStore
from chatorch.ports.runs import NewRun, OpenedRun


class MemoryCallStore(CallStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def asking_run(self, owner_id: UserId, thread_id: ThreadId) -> Run:
        self._state.require_available()
        shown = self._state.thread_of(owner_id, thread_id).shown()
        writers = (message.run_id for message in reversed(shown) if message.role is Role.ASSISTANT)
        run_id = next(filter(None, writers), None)
        if run_id is None:
            raise NotFound
        return self._state.runs[run_id].run

    async def answer_calls(self, new: NewRun, answered: AnsweredCalls, cap: LiveRunCap | None = None) -> OpenedRun:
        self._state.require_writable()
        record = self._state.thread_of(new.owner_id, answered.thread_id)
        if earlier := joined(self._state, new):
            return earlier
        try:
            results = results_of(record.shown(), answered.answers, more_follows=bool(answered.messages))
        except UnknownCalls as unknown:
            raise _whereabouts(record, unknown) from None
        if not isinstance(results, list):
            return OpenedRun(self._state.runs[RunId(results)].run, (), joined=True)
        require_room(self._state, new, record, cap)
        for message_id, message in answered.kept(results):
            append(record, message_id, message, new.now)
        asked = next(message.id for message in reversed(record.shown()) if message.role is Role.USER)
        return open_in(self._state, new, record, asked)

    async def call_ids(self, thread_id: ThreadId, besides: RunId) -> frozenset[str]:
        self._state.require_available()
        record = self._state.threads.get(thread_id)
        said = (each.message for each in record.messages) if record else ()
        parts = (part for message in said if message.run_id != besides for part in message.parts)
        return frozenset(str(part.head.get("id")) for part in parts if part.kind is PartKind.TOOL_CALL)

    async def said_since(self, owner_id: UserId, message_id: MessageId) -> Sequence[Message]:
        self._state.require_available()
        for record in self._state.threads.values():
            if record.thread.owner_id == owner_id and (found := record.find(message_id)):
                later = (said for said in record.shown() if said.position > found.message.position)
                return _upto_users(later)
        return []


def _upto_users(messages: Iterable[Message]) -> list[Message]:
    since: list[Message] = []
    for message in messages:
        since.append(message)
        if message.role is Role.USER:
            break
    return since


def _whereabouts(record: ThreadRecord, unknown: UnknownCalls) -> ChatorchError:
    """What there is to say of calls that are not in the turn that a thread ends with."""
    for said in record.messages:
        if unknown.call_ids & {call.head["id"] for call in calls_in(said.message.parts)}:
            return RunSuperseded() if said.superseded else ToolCallsAnswered()
    return ThreadBusy(unknown.writing) if unknown.writing else NotFound()
