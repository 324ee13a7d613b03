"""A thread's history as the model may see it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, not_, select

from chatorch.adapters.sql.rows import SELECT_MESSAGE, SELECT_WHOLE_MESSAGE, to_message
from chatorch.adapters.sql.tables import messages
from chatorch.domain.model.context import fitting, going_out
from chatorch.domain.model.conversation import Message, Role, ThreadId

_CHUNK = 64


def _older(selected: Select[Any]) -> Select[Any]:
    return (
        selected.where(
            messages.c.thread_id == bindparam("thread_id"),
            messages.c.position <= bindparam("upto"),
            not_(messages.c.superseded),
        )
        .order_by(messages.c.position.desc())
        .limit(_CHUNK)
    )


_OLDER = {False: _older(SELECT_MESSAGE), True: _older(SELECT_WHOLE_MESSAGE)}
"""By whether they are wanted with their parts."""
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
_LAST_POSITION = select(func.max(messages.c.position)).where(messages.c.thread_id == bindparam("thread_id"))


def last_position(connection: Connection, thread_id: ThreadId) -> int:
    """The highest position that the thread ever gave out to a message, superseded ones too; 0 where there is none."""
    return connection.execute(_LAST_POSITION, {"thread_id": thread_id}).scalar_one() or 0


def read_history(
    connection: Connection, thread_id: ThreadId, upto: int, max_chars: int, *, with_parts: bool = False
) -> tuple[Message, ...]:
    """Of the messages up to a position those that go out and fit into `max_chars` code points, oldest first.

    The newest in any case, and the system messages at the thread's beginning. Read from the newest back in chunks, so
    that it costs what it returns and not what the thread holds.
    """
    kept, left_out = fitting(going_out(_newest_first(connection, thread_id, upto, with_parts)), max_chars)
    if left_out is not None:
        asked = {"thread_id": thread_id, "upto": left_out.position}
        kept = [*map(to_message, connection.execute(_OPENING, asked)), *kept]
    return tuple(kept)


def _newest_first(connection: Connection, thread_id: ThreadId, upto: int, with_parts: bool) -> Iterator[Message]:
    while True:
        rows = connection.execute(_OLDER[with_parts], {"thread_id": thread_id, "upto": upto}).all()
        yield from map(to_message, rows)
        if len(rows) < _CHUNK:
            return
        upto = rows[-1].position - 1
