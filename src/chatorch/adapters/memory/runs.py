"""Runs in memory, as clients ask for them."""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from chatorch.adapters.memory.state import MessageRecord, RunRecord, State, ThreadRecord, UsedKey
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.context import fitting, going_out
from chatorch.domain.model.conversation import (
    OF_ANSWERS,
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    RunId,
    Thread,
    ThreadId,
)
from chatorch.domain.model.errors import IdempotencyKeyReused, NewerMessages, NotFound, RunSuperseded, ThreadBusy
from chatorch.domain.model.going_on import Attempt, to_go_on_from
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Run, RunStatus
from chatorch.ports.runs import KEY_LIFE, ClientRefTaken, NewRun, OpenedRun, OpenTurn, RunStore


class MemoryRunStore(RunStore):
    def __init__(self, state: State) -> None:
        self._state = state

    async def open_run(self, new: NewRun, turn: OpenTurn, cap: LiveRunCap | None = None) -> OpenedRun:
        state = self._state
        state.require_writable()
        if turn.title is None:
            record = state.thread_of(new.owner_id, turn.thread_id)
        else:
            record = ThreadRecord(_new_thread(new, turn, turn.title))
        if earlier := joined(self._state, new):
            return earlier
        if record.thread.id not in state.threads and state.named(new.owner_id, turn.client_ref):
            raise ClientRefTaken
        edited = turn.instead_of and _require_question(record, turn.instead_of)
        require_room(self._state, new, record, cap)
        if edited:
            record.supersede_after(edited.message.position)
            edited.superseded = True
        state.threads[turn.thread_id] = record
        for message_id, message in turn.messages:
            append(record, message_id, message, new.now)
        asked = next(id_ for id_, message in reversed(turn.messages) if message.role is Role.USER)
        return open_in(self._state, new, record, asked)

    async def reopen_run(self, new: NewRun, retry_of: RunId, cap: LiveRunCap | None = None) -> OpenedRun:
        state = self._state
        state.require_writable()
        retried = state.run_of(new.owner_id, retry_of).run
        record = state.thread_of(new.owner_id, retried.thread_id)
        return self._again(new, record, retried.user_message_id, cap, retry_of=retry_of)

    async def answer_again(
        self,
        new: NewRun,
        thread_id: ThreadId,
        message_id: MessageId,
        cap: LiveRunCap | None = None,
        *,
        only_newest: bool = False,
    ) -> OpenedRun:
        self._state.require_writable()
        record = self._state.thread_of(new.owner_id, thread_id)
        return self._again(new, record, message_id, cap, only_newest=only_newest)

    def _again(
        self,
        new: NewRun,
        record: ThreadRecord,
        message_id: MessageId,
        cap: LiveRunCap | None,
        *,
        only_newest: bool = False,
        retry_of: RunId | None = None,
    ) -> OpenedRun:
        if earlier := joined(self._state, new):
            return earlier
        question = _require_question(record, message_id)
        if only_newest:
            _require_newest(record, question)
        require_room(self._state, new, record, cap)
        question.message = replace(question.message, status=MessageStatus.COMPLETE)
        stands = to_go_on_from(self._attempts(record, question), retry_of)
        if stands is None:
            record.supersede_after(question.message.position)
            return open_in(self._state, new, record, message_id)
        record.supersede_after(stands.position)
        return replace(open_in(self._state, new.going_on(), record, message_id), kept=stands.kept)

    def _attempts(self, record: ThreadRecord, question: MessageRecord) -> list[Attempt]:
        """The answers of the turn that a message of the user's began."""
        later = (said for said in record.shown() if said.position > question.message.position)
        turn = takewhile(lambda said: said.role is not Role.USER, later)
        written = ((said, self._state.runs[said.run_id]) for said in turn if said.run_id is not None)
        return [Attempt(run.run.id, said.position, said.status, run.kept) for said, run in written]

    async def read_run(self, owner_id: UserId, run_id: RunId) -> Run:
        self._state.require_available()
        return self._state.run_of(owner_id, run_id).run

    async def request_cancel(self, owner_id: UserId, run_id: RunId) -> Run:
        self._state.require_writable()
        record = self._state.run_of(owner_id, run_id)
        if record.run.status.live:
            record.cancel_requested = True
        return record.run

    async def forget_keys(self, used_before: datetime, limit: int) -> int:
        self._state.require_available()
        keys = self._state.keys
        oldest = sorted((used.used_at, name) for name, used in keys.items() if used.used_at < used_before)[:limit]
        for _, name in oldest:
            del keys[name]
        return len(oldest)


def joined(state: State, new: NewRun) -> OpenedRun | None:
    """What the same key opened before. Raises `IdempotencyKeyReused`."""
    if new.idempotency is None:
        return None
    used = state.keys.get((new.owner_id, new.idempotency.key))
    if used is None or new.now - used.used_at > KEY_LIFE:
        return None
    if used.fingerprint != new.idempotency.fingerprint:
        raise IdempotencyKeyReused
    return OpenedRun(state.runs[used.run_id].run, (), joined=True)


def require_room(state: State, new: NewRun, record: ThreadRecord, cap: LiveRunCap | None) -> None:
    """Raises `ThreadBusy` or `TooManyRuns`."""
    if live := state.live_in(record.thread.id):
        raise ThreadBusy(live.id)
    if cap is not None:
        cap.require_room(sum(1 for _ in state.live_of(new.owner_id)))


def open_in(state: State, new: NewRun, record: ThreadRecord, user_message_id: MessageId) -> OpenedRun:
    """Writes a run for a message of the user's, and its empty answer."""
    history = newest(record.shown(), new.history_chars)
    run = Run(
        id=new.run_id,
        thread_id=record.thread.id,
        owner_id=new.owner_id,
        user_message_id=user_message_id,
        message_id=new.message_id,
        status=RunStatus.QUEUED,
        model=new.model,
        created_at=new.now,
        generation=deepcopy(new.generation),
        background=new.background,
        scopes=new.scopes,
    )
    answer = append(record, new.message_id, NewMessage(Role.ASSISTANT, ""), new.now, writer=new.run_id)
    record.touch(new.now)
    state.runs[run.id] = state.live[run.id] = RunRecord(run, answer, new.guest_label)
    if key := new.idempotency:
        state.keys[new.owner_id, key.key] = UsedKey(key.fingerprint, run.id, new.now)
    return OpenedRun(run, history, joined=False)


def _require_question(record: ThreadRecord, message_id: MessageId) -> MessageRecord:
    """A message of the user's. Raises `NotFound`, and `RunSuperseded` where it has left the history."""
    question = record.find(message_id)
    if question is None or question.message.role is not Role.USER:
        raise NotFound
    if question.superseded:
        raise RunSuperseded
    return question


def _require_newest(record: ThreadRecord, question: MessageRecord) -> None:
    """Raises `NewerMessages`."""
    at = question.message.position
    if any(shown.position > at and shown.role not in OF_ANSWERS for shown in record.shown()):
        raise NewerMessages


def _new_thread(new: NewRun, turn: OpenTurn, title: str) -> Thread:
    return Thread(
        turn.thread_id, new.owner_id, title, {}, new.now, new.now, client_ref=turn.client_ref, stored=turn.stored
    )


def append(
    record: ThreadRecord, message_id: MessageId, new: NewMessage, now: datetime, *, writer: RunId | None = None
) -> MessageRecord:
    """Adds a message at the thread's end; `writer` is the run that is going to write it."""
    message = Message(
        id=message_id,
        thread_id=record.thread.id,
        position=len(record.messages) + 1,
        role=new.role,
        content=new.content,
        status=MessageStatus.COMPLETE if writer is None else MessageStatus.STREAMING,
        created_at=now,
        run_id=writer,
        metadata=deepcopy(new.metadata),
        parts=new.parts,
    )
    added = MessageRecord(message, new.timestamp, note=deepcopy(new.note))
    record.messages.append(added)
    return added


def newest(messages: list[Message], history_chars: int) -> tuple[Message, ...]:
    """The last message, and those that go out and fit with it; and the system messages that stand before all others."""
    kept, left_out = fitting(going_out(reversed(messages)), history_chars)
    if left_out is not None:
        older = messages[: messages.index(left_out) + 1]
        kept = [*takewhile(lambda message: message.role is Role.SYSTEM, older), *kept]
    return tuple(kept)
