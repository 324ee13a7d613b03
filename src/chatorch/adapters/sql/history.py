"""A thread's history as the model may see it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import Connection, bindparam, func, not_, select

from chatorch.adapters.sql.rows import SELECT_MESSAGE, SELECT_WHOLE_MESSAGE, AnyRow, to_message
from chatorch.adapters.sql.tables import messages, runs
from chatorch.domain.model.context import fitting, going_out
from chatorch.domain.model.conversation import Message, MessageStatus, Role, RunId, ThreadId
from chatorch.domain.model.going_on import Attempt

_CHUNK = 64
_NEVER = 2**31 - 1
"""No thread has a message at this position."""


OLDER = SELECT_WHOLE_MESSAGE.where(not_(messages.c.superseded)).order_by(messages.c.position.desc()).limit(_CHUNK)
_OLDER = OLDER.where(messages.c.thread_id == bindparam("thread_id"), messages.c.position <= bindparam("upto"))
_BEGINS = (
    select(messages.c.position)
    .where(
        messages.c.thread_id == bindparam("thread_id"),
        not_(messages.c.superseded),
        messages.c.role != Role.SYSTEM.value,
    )
    .order_by(messages.c.position)
    .limit(1)
    .scalar_subquery()
)
_OPENING = SELECT_MESSAGE.where(
    messages.c.thread_id == bindparam("thread_id"),
    messages.c.position <= bindparam("upto"),
    messages.c.position < _BEGINS,
    not_(messages.c.superseded),
).order_by(messages.c.position)
_NEXT_TURN = select(func.min(messages.c.position)).where(
    messages.c.thread_id == bindparam("thread_id"),
    messages.c.position > bindparam("behind"),
    messages.c.role == Role.USER.value,
    not_(messages.c.superseded),
)
_ATTEMPTS = (
    select(runs.c.id, messages.c.position, messages.c.status, runs.c.kept)
    .join(runs, runs.c.id == messages.c.run_id)
    .where(
        messages.c.thread_id == bindparam("thread_id"),
        messages.c.position > bindparam("behind"),
        messages.c.position < bindparam("upto"),
        not_(messages.c.superseded),
    )
    .order_by(messages.c.position)
)
_LAST_POSITION = select(func.max(messages.c.position)).where(messages.c.thread_id == bindparam("thread_id"))


def last_position(connection: Connection, thread_id: ThreadId) -> int:
    """The highest position that the thread ever gave out to a message, superseded ones too; 0 where there is none."""
    return connection.execute(_LAST_POSITION, {"thread_id": thread_id}).scalar_one() or 0


def read_history(connection: Connection, thread_id: ThreadId, upto: int, max_chars: int) -> tuple[Message, ...]:
    """Of the messages up to a position those that go out and fit into `max_chars` code points, oldest first.

    The newest in any case, and the system messages at the thread's beginning. Read from the newest back in chunks, so
    that it costs what it returns and not what the thread holds.
    """
    return _fitting(connection, thread_id, _newest_first(connection, thread_id, upto), max_chars)


def history_behind(
    connection: Connection, newest: Message, before: Sequence[AnyRow], max_chars: int
) -> tuple[Message, ...]:
    """As `read_history`, where the newest is at hand, and of those before it the first rows of `OLDER`."""
    older = _newest_first(connection, newest.thread_id, newest.position - 1, before)
    return _fitting(connection, newest.thread_id, chain([newest], older), max_chars)


def turn_so_far(connection: Connection, thread_id: ThreadId, upto: int) -> list[Message]:
    """The newest message of the user's up to a position, and all that was said for it since, oldest first."""
    turn: list[Message] = []
    for message in _newest_first(connection, thread_id, upto):
        turn.append(message)
        if message.role is Role.USER:
            break
    return turn[::-1]


def attempts_behind(connection: Connection, thread_id: ThreadId, position: int) -> list[Attempt]:
    """The answers that stand of the turn which a message of the user's at a position began, oldest first."""
    behind = {"thread_id": thread_id, "behind": position}
    upto = connection.execute(_NEXT_TURN, behind).scalar_one()
    rows = connection.execute(_ATTEMPTS, {**behind, "upto": _NEVER if upto is None else upto})
    return [Attempt(RunId(row.id), row.position, MessageStatus(row.status), row.kept or 0) for row in rows]


def _fitting(
    connection: Connection, thread_id: ThreadId, newest_first: Iterable[Message], max_chars: int
) -> tuple[Message, ...]:
    kept, left_out = fitting(going_out(newest_first), max_chars)
    if left_out is not None:
        asked = {"thread_id": thread_id, "upto": left_out.position}
        kept = [*map(to_message, connection.execute(_OPENING, asked)), *kept]
    return tuple(kept)


def _newest_first(
    connection: Connection, thread_id: ThreadId, upto: int, rows: Sequence[AnyRow] | None = None
) -> Iterator[Message]:
    while True:
        if rows is None:
            rows = connection.execute(_OLDER, {"thread_id": thread_id, "upto": upto}).all()
        for message in map(to_message, rows):
            yield message
            upto = message.position - 1
        if len(rows) < _CHUNK:
            return
        rows = None
