"""Parts of messages beside their text, in rows as they were told: a part that grows has several, by where each begins.

A message of nothing but text has no row, and its `has_parts` says so: nobody looks for any. The rows are read in the
statement that reads the text, as one JSON text, so that both are of one moment: to PostgreSQL a second statement is
another moment.
"""

import json
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Text, bindparam, case, cast, delete, not_, select, text, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from chatorch.adapters.sql.columns import load_json
from chatorch.adapters.sql.tables import message_parts, messages
from chatorch.domain.model.content import Content
from chatorch.domain.model.part_pieces import PartPiece, assembled, pieces
from chatorch.domain.model.parts import Facts, PartKind


class _JsonRows(FunctionElement[str]):
    """All rows of a query, each an array of its columns, as one JSON array; NULL or empty where there are none."""

    type = Text()  # and not JSON: each message would be asked whether there is any to decode
    inherit_cache = True


@compiles(_JsonRows, "postgresql")
def _on_postgresql(element: _JsonRows, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(json_agg(json_build_array({compiler.process(element.clauses, **options)})) AS TEXT)"


@compiles(_JsonRows, "sqlite")
def _on_sqlite(element: _JsonRows, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


_OF_MESSAGE = (
    select(
        _JsonRows(
            message_parts.c.ordinal,
            message_parts.c.start,
            message_parts.c.kind,
            # As texts: they are nothing to the database.
            cast(message_parts.c.head, Text),
            message_parts.c.body,
            cast(message_parts.c.result, Text),
            message_parts.c.closed,
            message_parts.c.text_at,
        )
    )
    .where(message_parts.c.message_id == messages.c.id)
    .correlate(messages)
    .scalar_subquery()
)
PARTS: ColumnElement[str | None] = case((messages.c.has_parts, _OF_MESSAGE))
"""A message's rows, in any order; NULL where it is nothing but text."""

_PUT = text(
    "INSERT INTO message_parts (message_id, ordinal, start, kind, head, body, result, closed, text_at)"
    " VALUES (:message_id, :ordinal, :start, :kind, :head, :body, :result, :closed, :text_at)"
    " ON CONFLICT (message_id, ordinal, start) DO UPDATE"
    " SET kind = excluded.kind, head = excluded.head, body = excluded.body, result = excluded.result,"
    " closed = excluded.closed, text_at = excluded.text_at"
).bindparams(bindparam("head", type_=JSON), bindparam("result", type_=JSON))
_MARK = (
    update(messages)
    .where(messages.c.id.in_(bindparam("message_ids", expanding=True)), not_(messages.c.has_parts))
    .values(has_parts=True)
)
_DROP = delete(message_parts).where(message_parts.c.message_id == bindparam("message_id"))


def to_content(joined: str, rows: str | None) -> Content:
    """What a message says whose text is `joined`, and of which `PARTS` are the rows."""
    if rows is None:
        return Content.of(joined)
    return assembled(joined, [_piece(*row) for row in sorted(json.loads(rows), key=itemgetter(0, 1))])


def put(connection: Connection, told: Iterable[tuple[str, Sequence[PartPiece]]]) -> None:
    """Adds pieces to messages, by their ids, whose rows are locked. One that is there is replaced."""
    rows = [_values(message_id, piece) for message_id, new in told for piece in new]
    if rows:
        connection.execute(_PUT, rows)
        connection.execute(_MARK, {"message_ids": list({row["message_id"] for row in rows})})


def write_whole(connection: Connection, message_id: str, content: Content, *, instead: bool = True) -> None:
    """All of them, one row each, `instead` of those that are there; whoever calls says in the message if it has any."""
    if instead:
        connection.execute(_DROP, {"message_id": message_id})
    if rows := [_values(message_id, piece) for piece in pieces(content)]:
        connection.execute(_PUT, rows)


def _piece(ordinal: int, start: int, kind: str, head: str, body: str, result: str, closed: int, at: int) -> PartPiece:
    return PartPiece(ordinal, PartKind(kind), _facts(head), start, body, _facts(result), bool(closed), at)


def _facts(told: str) -> Facts:
    facts: Facts = load_json(told)
    return facts


def _values(message_id: str, piece: PartPiece) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "ordinal": piece.index,
        "start": piece.start,
        "kind": piece.kind.value,
        "head": dict(piece.head),
        "body": piece.body,
        "result": dict(piece.result),
        "closed": piece.closed,
        "text_at": piece.text_at,
    }
