"""A thread's history as the model may see it."""

from sqlalchemy import Connection, bindparam, func, not_, select

from chatorch.adapters.sql.rows import SELECT_MESSAGE, to_message
from chatorch.adapters.sql.tables import messages
from chatorch.domain.model.conversation import Message, ThreadId

_CHUNK = 64

_OLDER = (
    SELECT_MESSAGE.where(
        messages.c.thread_id == bindparam("thread_id"),
        messages.c.position <= bindparam("upto"),
        not_(messages.c.superseded),
    )
    .order_by(messages.c.position.desc())
    .limit(_CHUNK)
)
_LAST_POSITION = select(func.max(messages.c.position)).where(messages.c.thread_id == bindparam("thread_id"))


def last_position(connection: Connection, thread_id: ThreadId) -> int:
    """The highest position that the thread ever gave out to a message, superseded ones too; 0 where there is none."""
    return connection.execute(_LAST_POSITION, {"thread_id": thread_id}).scalar_one() or 0


def read_history(connection: Connection, thread_id: ThreadId, upto: int, max_chars: int) -> tuple[Message, ...]:
    """The messages up to a position that fit into `max_chars` code points, oldest first; the newest in any case.

    Read from the newest back in chunks, so that it costs what it returns and not what the thread holds.
    """
    newest_first: list[Message] = []
    while True:
        rows = connection.execute(_OLDER, {"thread_id": thread_id, "upto": upto}).all()
        for row in rows:
            max_chars -= len(row.content)
            if newest_first and max_chars < 0:
                return tuple(reversed(newest_first))
            newest_first.append(to_message(row))
        if len(rows) < _CHUNK:
            return tuple(reversed(newest_first))
        upto = rows[-1].position - 1
