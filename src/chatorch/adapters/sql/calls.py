"""Turns that wait for somebody outside, on SQL."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, bindparam, not_, select
from sqlalchemy.exc import IntegrityError

from chatorch.adapters.sql import opening
from chatorch.adapters.sql.access import require_sane, require_thread, touch_threads
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.history import last_position, turn_so_far
from chatorch.adapters.sql.idempotency import find_earlier
from chatorch.adapters.sql.rows import SELECT_RUN, SELECT_WHOLE_MESSAGE, to_message, to_run
from chatorch.adapters.sql.runs import busy, is_busy
from chatorch.adapters.sql.tables import message_parts, messages, runs, threads
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.call_answers import UnknownCalls, results_of
from chatorch.domain.model.conversation import Message, MessageId, Role, RunId, ThreadId
from chatorch.domain.model.errors import ChatorchError, NotFound, RunSuperseded, ThreadBusy, ToolCallsAnswered
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.run import Run
from chatorch.ports.calls import AnsweredCalls, CallStore
from chatorch.ports.runs import NewRun, OpenedRun

MOST_SINCE = 1024
_FIRST, _THEN = 8, 64
"""Nearly always a user speaks next but a few; a step of very many calls has as many results."""

_RUN = SELECT_RUN.where(runs.c.id == bindparam("run_id"))
_ASKING = (
    select(messages.c.run_id)
    .where(
        messages.c.thread_id == bindparam("thread_id"),
        messages.c.role == Role.ASSISTANT.value,
        messages.c.run_id.is_not(None),
        not_(messages.c.superseded),
    )
    .order_by(messages.c.position.desc())
    .limit(1)
)
_CALLS = (
    select(message_parts.c.head, messages.c.superseded, messages.c.run_id)
    .join(messages, messages.c.id == message_parts.c.message_id)
    .where(messages.c.thread_id == bindparam("thread_id"), message_parts.c.kind == PartKind.TOOL_CALL.value)
)
_PLACE = (
    select(messages.c.thread_id, messages.c.position)
    .join(threads, threads.c.id == messages.c.thread_id)
    .where(messages.c.id == bindparam("message_id"), threads.c.owner_id == bindparam("owner_id"))
)
_SINCE = (
    SELECT_WHOLE_MESSAGE.where(
        messages.c.thread_id == bindparam("thread_id"),
        messages.c.position > bindparam("behind"),
        not_(messages.c.superseded),
    )
    .order_by(messages.c.position)
    .limit(bindparam("most"))
)


class SqlCallStore(CallStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def asking_run(self, owner_id: UserId, thread_id: ThreadId) -> Run:
        return await self._database.read(lambda connection: _asking_run(connection, owner_id, thread_id))

    async def answer_calls(self, new: NewRun, answered: AnsweredCalls, cap: LiveRunCap | None = None) -> OpenedRun:
        try:
            return await self._database.write_alone(
                partial(_answer_calls, new=new, answered=answered, cap=cap), new.owner_id
            )
        except IntegrityError as error:
            if not is_busy(error):
                raise
        raise await self._database.read(lambda connection: busy(connection, answered.thread_id))

    async def call_ids(self, thread_id: ThreadId, besides: RunId) -> frozenset[str]:
        rows = await self._database.read(lambda connection: connection.execute(_CALLS, {"thread_id": thread_id}).all())
        return frozenset(str(row.head.get("id")) for row in rows if row.run_id != besides)

    async def said_since(self, owner_id: UserId, message_id: MessageId) -> Sequence[Message]:
        return await self._database.read(lambda connection: _said_since(connection, owner_id, message_id))


def _asking_run(connection: Connection, owner_id: UserId, thread_id: ThreadId) -> Run:
    require_thread(connection, owner_id, thread_id)
    run_id = connection.execute(_ASKING, {"thread_id": thread_id}).scalar_one_or_none()
    if run_id is None:
        raise NotFound
    return _run(connection, RunId(run_id))


def _run(connection: Connection, run_id: RunId) -> Run:
    return to_run(connection.execute(_RUN, {"run_id": run_id}).one())


def _answer_calls(connection: Connection, new: NewRun, answered: AnsweredCalls, cap: LiveRunCap | None) -> OpenedRun:
    thread_id = answered.thread_id
    require_thread(connection, new.owner_id, thread_id, lock=True)
    if earlier := find_earlier(connection, new):
        return OpenedRun(earlier, (), joined=True)
    last = last_position(connection, thread_id)
    turn = turn_so_far(connection, thread_id, last)
    try:
        results = results_of(turn, answered.answers, more_follows=bool(answered.messages))
    except UnknownCalls as unknown:
        raise _whereabouts(connection, thread_id, unknown) from None
    if not isinstance(results, list):
        return OpenedRun(_run(connection, results), (), joined=True)
    opening.require_room(connection, new, thread_id, cap)
    touch_threads(connection, [thread_id], new.now)
    asked = None if answered.messages else turn[0].id
    run, said = opening.write_said(connection, new, thread_id, answered.kept(results), last, asked)
    return OpenedRun(run, opening.history_upto(connection, new, thread_id, last + len(said)), joined=False)


def _whereabouts(connection: Connection, thread_id: ThreadId, unknown: UnknownCalls) -> ChatorchError:
    """What there is to say of calls that are not in the turn that a thread ends with."""
    rows = connection.execute(_CALLS, {"thread_id": thread_id})
    found = [row for row in rows if row.head.get("id") in unknown.call_ids]
    if not found:
        return ThreadBusy(unknown.writing) if unknown.writing else NotFound()
    return ToolCallsAnswered() if not all(row.superseded for row in found) else RunSuperseded()


def _said_since(connection: Connection, owner_id: UserId, message_id: MessageId) -> list[Message]:
    require_sane(message_id)
    place = connection.execute(_PLACE, {"message_id": message_id, "owner_id": owner_id}).one_or_none()
    if place is None:
        return []
    since: list[Message] = []
    behind, most = place.position, _FIRST
    while len(since) < MOST_SINCE:
        asked = {"thread_id": place.thread_id, "behind": behind, "most": most}
        rows = connection.execute(_SINCE, asked).all()
        for message in map(to_message, rows):
            since.append(message)
            if message.role is Role.USER:
                return since
        if len(rows) < most:
            return since
        behind, most = since[-1].position, _THEN
    return since
