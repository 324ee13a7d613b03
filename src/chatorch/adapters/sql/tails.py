"""Texts of live runs as they grow: a message holds the beginning, and rows of their own what came since.

Saving a tail costs what the tail is long; PostgreSQL writes a long value anew for each change of it. A row counts where
it begins at or behind the end of the message's own text. So whoever puts a longer text into the message, be it an older
version that knows no tails, has done right by that alone.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    not_,
    select,
    text,
    update,
)

from chatorch.adapters.sql.tables import LIVE, answer_tails, messages, runs
from chatorch.domain.model.conversation import MessageStatus

_RUN_IDS: Any = bindparam("run_ids", expanding=True)
_MESSAGE_IDS: Any = bindparam("message_ids", expanding=True)

_BEYOND = (
    select(answer_tails.c.text)
    .where(answer_tails.c.run_id == messages.c.run_id, answer_tails.c.start >= func.length(messages.c.content))
    .order_by(answer_tails.c.start)
    .correlate(messages)
)
_NOTHING: Any = literal_column("''")  # no parameter: its text would be put together anew for each execution
_TAIL = (
    select(func.aggregate_strings(_BEYOND.subquery("beyond").c.text, _NOTHING)).correlate(messages).scalar_subquery()
)
_WHOLE = messages.c.content + func.coalesce(_TAIL, _NOTHING)
CONTENT = case(
    # A literal: nearly all rows take this way, and need no look at another table.
    (messages.c.status == literal_column(f"'{MessageStatus.COMPLETE.value}'"), messages.c.content),
    else_=_WHOLE,
)
"""A message's text with its tail, in one statement and so as of one moment."""

_APPEND = text(
    "INSERT INTO answer_tails (run_id, start, text) VALUES (:run_id, :start, :text)"
    " ON CONFLICT (run_id, start) DO UPDATE SET text = excluded.text"
)
_FOLD = update(messages).where(messages.c.id.in_(_MESSAGE_IDS), exists(_BEYOND)).values(content=_WHOLE)
_DROP = delete(answer_tails).where(answer_tails.c.run_id.in_(_RUN_IDS))
_LEFT = (
    select(runs.c.id, runs.c.message_id)
    .join_from(runs, messages, messages.c.id == runs.c.message_id)
    .where(runs.c.id.in_(select(answer_tails.c.run_id)), not_(LIVE))
    .with_for_update(skip_locked=True)
)


def append(connection: Connection, tails: Sequence[dict[str, Any]]) -> None:
    """`run_id`, `start` and `text` of each. One that is there is replaced: its commit was not heard of."""
    connection.execute(_APPEND, tails)


def drop(connection: Connection, run_ids: Sequence[str]) -> None:
    """For runs whose messages hold all their text."""
    connection.execute(_DROP, {"run_ids": run_ids})


def fold(connection: Connection, message_ids: Sequence[str], run_ids: Sequence[str]) -> None:
    """Puts the tails of runs into their messages."""
    connection.execute(_FOLD, {"message_ids": message_ids})
    drop(connection, run_ids)


def fold_left(connection: Connection) -> None:
    """Those of runs that an older version ended, which knows no tails."""
    if left := connection.execute(_LEFT).all():
        fold(connection, [row.message_id for row in left], [row.id for row in left])
