"""The transactions that open a run, each of them the only one of its owner (`Database.write_alone`)."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, not_, select, update

from chatorch.adapters.sql import parts
from chatorch.adapters.sql.access import live_runs_of, require_sane, require_thread, touch_threads
from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.history import attempts_behind, history_behind, last_position, read_history
from chatorch.adapters.sql.idempotency import find_earlier, remember
from chatorch.adapters.sql.one_statement import open_in_new_thread, open_in_thread
from chatorch.adapters.sql.rows import AnyRow, Values, message_values, new_run_values, thread_values
from chatorch.adapters.sql.tables import message_notes, messages, runs, side_items, threads
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.conversation import (
    OF_ANSWERS,
    Message,
    MessageId,
    MessageStatus,
    NewMessage,
    Role,
    RunId,
    ThreadId,
)
from chatorch.domain.model.errors import NewerMessages, NotFound, RunSuperseded, ThreadBusy
from chatorch.domain.model.going_on import to_go_on_from
from chatorch.domain.model.part_pieces import pieces
from chatorch.domain.model.run import Run, RunStatus
from chatorch.ports.runs import NewRun, OpenedRun, OpenTurn

_ADD_THREAD = Compiled(insert(threads))
_ADD_MESSAGES = Compiled(insert(messages))
_ADD_RUN = Compiled(insert(runs))
_ADD_NOTES = insert(message_notes)
_RETRIED = select(runs.c.thread_id, runs.c.user_message_id).where(
    runs.c.id == bindparam("run_id"), runs.c.owner_id == bindparam("owner_id")
)
_QUESTION = select(messages.c.position, messages.c.superseded, messages.c.status).where(
    messages.c.id == bindparam("message_id"),
    messages.c.thread_id == bindparam("thread_id"),
    messages.c.role == Role.USER.value,
)
_NEWER = (
    select(messages.c.id)
    .where(
        messages.c.thread_id == bindparam("of_thread"),
        messages.c.position > bindparam("from_position"),
        messages.c.role.not_in([role.value for role in OF_ANSWERS]),
        not_(messages.c.superseded),
    )
    .limit(1)
)
_ACCEPT = update(messages).where(messages.c.id == bindparam("message_id")).values(status=MessageStatus.COMPLETE.value)
_LEAVE = update(messages).where(messages.c.id == bindparam("message_id")).values(superseded=True)
_SUPERSEDE = (
    update(messages)
    .where(
        messages.c.thread_id == bindparam("of_thread"),
        messages.c.position > bindparam("from_position"),
        not_(messages.c.superseded),
    )
    .values(superseded=True)
)
_SUPERSEDE_ITEMS = (
    update(side_items)
    .where(side_items.c.thread_id == bindparam("of_thread"), side_items.c.position >= bindparam("from_position"))
    .values(superseded=True)
)


Said = tuple[tuple[MessageId, NewMessage], ...]
"""Messages with their ids, oldest first."""


class Again(NamedTuple):
    """A message of the user's that is to be answered once more."""

    thread_id: ThreadId
    message_id: MessageId
    only_newest: bool = False
    retry_of: RunId | None = None


def open_run(connection: Connection, new: NewRun, turn: OpenTurn, cap: LiveRunCap | None) -> OpenedRun:
    """See `chatorch.ports.runs.RunStore.open_run`."""
    if _opens_simply(connection, new, turn) and (opened := _open_at_once(connection, new, turn, cap)):
        return opened
    if turn.title is None:
        require_thread(connection, new.owner_id, turn.thread_id, lock=True)
    if earlier := find_earlier(connection, new):
        return OpenedRun(earlier, (), joined=True)
    edited = turn.instead_of and _require_question(connection, turn.thread_id, turn.instead_of)
    require_room(connection, new, turn.thread_id, cap)
    if edited:
        _supersede(connection, turn.thread_id, edited.position)
        connection.execute(_LEAVE, {"message_id": turn.instead_of})
    last = 0
    if turn.title is None:
        touch_threads(connection, [turn.thread_id], new.now)
        last = last_position(connection, turn.thread_id)
    else:
        _ADD_THREAD.run(connection, _new_thread(new, turn, turn.title))
    run, said = write_said(connection, new, turn.thread_id, turn.messages, last)
    if turn.title is None:
        said = history_upto(connection, new, turn.thread_id, said[-1].position)
    return OpenedRun(run, said, joined=False)


def _opens_simply(connection: Connection, new: NewRun, turn: OpenTurn) -> bool:
    """One message and nothing else, on a database that writes all of it in one statement."""
    if connection.dialect.name != "postgresql" or new.idempotency is not None or turn.instead_of is not None:
        return False
    [(_, message), *more] = turn.messages
    return not more and message.note is None and not message.parts


def _open_at_once(connection: Connection, new: NewRun, turn: OpenTurn, cap: LiveRunCap | None) -> OpenedRun | None:
    """None where something stands against it."""
    [said] = _messages(new, turn.thread_id, turn.messages, 0)
    answer, run = _answer_and_run(new, turn.thread_id, said.id, said.position + 1)
    rows = {
        "question": message_values(said, turn.messages[0][1].timestamp),
        "answer": message_values(answer),
        "run": new_run_values(run, new.guest_label),
    }
    if turn.title is not None:
        thread = _new_thread(new, turn, turn.title)
        opened = open_in_new_thread(connection, new.owner_id, cap, thread, **rows)
        return OpenedRun(run, (said,), joined=False) if opened else None
    require_sane(turn.thread_id)
    found = open_in_thread(connection, new.owner_id, cap, **rows)
    if found is None:
        return None
    last, before = found
    [said] = _messages(new, turn.thread_id, turn.messages, last)
    history = history_behind(connection, said, before, new.history_chars)
    return OpenedRun(run, history, joined=False)


def _new_thread(new: NewRun, turn: OpenTurn, title: str) -> Values:
    return thread_values(new.owner_id, turn.thread_id, title, new.now, turn.client_ref, turn.stored)


def history_upto(connection: Connection, new: NewRun, thread_id: ThreadId, upto: int) -> tuple[Message, ...]:
    return read_history(connection, thread_id, upto, new.history_chars)


def reopen_run(connection: Connection, new: NewRun, retry_of: RunId, cap: LiveRunCap | None) -> OpenedRun:
    """See `chatorch.ports.runs.RunStore.reopen_run`."""
    require_sane(retry_of)
    found = connection.execute(_RETRIED, {"run_id": retry_of, "owner_id": new.owner_id}).one_or_none()
    if found is None:
        raise NotFound
    again = Again(ThreadId(found.thread_id), MessageId(found.user_message_id), retry_of=retry_of)
    return answer_again(connection, new, again, cap)


def answer_again(connection: Connection, new: NewRun, again: Again, cap: LiveRunCap | None) -> OpenedRun:
    """See `chatorch.ports.runs.RunStore.answer_again`."""
    thread_id, message_id, only_newest, retry_of = again
    require_sane(message_id)
    require_thread(connection, new.owner_id, thread_id, lock=True)
    if earlier := find_earlier(connection, new):
        return OpenedRun(earlier, (), joined=True)
    question = _require_question(connection, thread_id, message_id)
    if only_newest:
        _require_newest(connection, thread_id, question.position)
    require_room(connection, new, thread_id, cap)
    if question.status != MessageStatus.COMPLETE.value:
        connection.execute(_ACCEPT, {"message_id": message_id})
    stands = to_go_on_from(attempts_behind(connection, thread_id, question.position), retry_of)
    upto = question.position if stands is None else stands.position
    _supersede(connection, thread_id, upto)
    touch_threads(connection, [thread_id], new.now)
    last = last_position(connection, thread_id)
    run = write_run(connection, new if stands is None else new.going_on(), thread_id, message_id, last + 1, [])
    history = history_upto(connection, new, thread_id, upto)
    return OpenedRun(run, history, joined=False, kept=None if stands is None else stands.kept)


def _require_question(connection: Connection, thread_id: ThreadId, message_id: MessageId) -> AnyRow:
    """A message of the user's. Raises `NotFound`, and `RunSuperseded` where it has left the history."""
    require_sane(message_id)
    question = connection.execute(_QUESTION, {"message_id": message_id, "thread_id": thread_id}).one_or_none()
    if question is None:
        raise NotFound
    if question.superseded:
        raise RunSuperseded
    return question


def _require_newest(connection: Connection, thread_id: ThreadId, position: int) -> None:
    """Raises `NewerMessages`."""
    if connection.execute(_NEWER, {"of_thread": thread_id, "from_position": position}).first() is not None:
        raise NewerMessages


def _supersede(connection: Connection, thread_id: ThreadId, position: int) -> None:
    """What is behind the message there leaves the history."""
    later = {"of_thread": thread_id, "from_position": position}
    connection.execute(_SUPERSEDE, later)
    connection.execute(_SUPERSEDE_ITEMS, later)


def require_room(connection: Connection, new: NewRun, thread_id: ThreadId, cap: LiveRunCap | None) -> None:
    live = live_runs_of(connection, new.owner_id)
    for row in live:
        if row.thread_id == thread_id:
            raise ThreadBusy(row.id)
    if cap is not None:
        cap.require_room(len(live))


def write_said(
    connection: Connection,
    new: NewRun,
    thread_id: ThreadId,
    sent: Said,
    last: int,
    asked: MessageId | None = None,
) -> tuple[Run, tuple[Message, ...]]:
    """Writes messages behind the position `last`, and a run for `asked`; by default for the last of the user's among
    them."""
    said = _messages(new, thread_id, sent, last)
    rows = [message_values(message, each.timestamp) for message, (_, each) in zip(said, sent, strict=True)]
    asked = asked or next(message.id for message in reversed(said) if message.role is Role.USER)
    run = write_run(connection, new, thread_id, asked, last + len(said) + 1, rows)
    parts.put(connection, [(message.id, pieces(message.whole)) for message in said if message.parts])
    if notes := [{"message_id": id_, "body": each.note} for id_, each in sent if each.note is not None]:
        connection.execute(_ADD_NOTES, notes)
    return run, said


def write_run(
    connection: Connection,
    new: NewRun,
    thread_id: ThreadId,
    user_message_id: MessageId,
    position: int,
    message_rows: list[Values],
) -> Run:
    """Writes the messages, the run and its empty message, which gets `position`."""
    answer, run = _answer_and_run(new, thread_id, user_message_id, position)
    _ADD_MESSAGES.run_many(connection, [*message_rows, message_values(answer)])
    _ADD_RUN.run(connection, new_run_values(run, new.guest_label))
    remember(connection, new, thread_id)
    return run


def _answer_and_run(new: NewRun, thread_id: ThreadId, user_message_id: MessageId, position: int) -> tuple[Message, Run]:
    """The empty message, and the run that is to fill it."""
    answer = Message(
        id=new.message_id,
        thread_id=thread_id,
        position=position,
        role=Role.ASSISTANT,
        content="",
        status=MessageStatus.STREAMING,
        created_at=new.now,
        run_id=new.run_id,
    )
    run = Run(
        id=new.run_id,
        thread_id=thread_id,
        owner_id=new.owner_id,
        user_message_id=user_message_id,
        message_id=new.message_id,
        status=RunStatus.QUEUED,
        model=new.model,
        created_at=new.now,
        generation=new.generation,
        background=new.background,
        scopes=new.scopes,
    )
    return answer, run


def _messages(new: NewRun, thread_id: ThreadId, sent: Said, last: int) -> tuple[Message, ...]:
    return tuple(
        Message(
            id=message_id,
            thread_id=thread_id,
            position=position,
            role=message.role,
            content=message.content,
            status=MessageStatus.COMPLETE,
            created_at=new.now,
            metadata=message.metadata,
            parts=message.parts,
        )
        for position, (message_id, message) in enumerate(sent, last + 1)
    )
