"""What PostgreSQL does in one statement where several would each cost a journey: the usual way a run opens and ends.

All parts of such a statement see what there was when it began; but a row that somebody else held is looked at again
once it is free (https://www.postgresql.org/docs/current/transaction-iso.html, 13.2.1). Rows are locked in the order
that `access` says, since each part takes its rows from the one before.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    not_,
    select,
    update,
)

from chatorch.adapters.sql.access import FORWARD
from chatorch.adapters.sql.compiled import Compiled, Values
from chatorch.adapters.sql.history import OLDER
from chatorch.adapters.sql.outcomes import usage_values
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs, threads
from chatorch.domain.model.admission import LiveRunCap
from chatorch.domain.model.conversation import MessageStatus
from chatorch.domain.model.identity import UserId
from chatorch.ports.execution_store import RunEnd

Keys = tuple[str, ...]

_OF_RUN = {
    "run_id": "id",
    "thread_id": "thread_id",
    "user_id": "owner_id",
    "model": "model",
    "created_at": "created_at",
    "guest_label": "guest_label",
}
"""Columns of an interaction that are its run's."""


def open_in_new_thread(
    connection: Connection,
    owner_id: UserId,
    cap: LiveRunCap | None,
    thread: Values,
    question: Values,
    answer: Values,
    run: Values,
) -> bool:
    """Writes these four rows, where the owner has fewer live runs than the cap allows and none in this thread.

    Whoever calls it has locked the owner.
    """
    statement = _opening(tuple(thread), tuple(question), tuple(run), capped=cap is not None)
    values = _asked(owner_id, cap, run) | _named("thread", thread)
    values |= _named("question", question) | _named("answer", answer) | _named("run", run)
    return bool(statement.rows(connection, values)[0].done)


@lru_cache
def _opening(thread: Keys, message: Keys, run: Keys, *, capped: bool) -> Compiled:
    room = select(literal_column("1")).where(*_room(capped=capped)).cte("room")
    opened = _added(threads, "thread", thread, room)
    asked = _added(messages, "question", message, opened)
    answer = _added(messages, "answer", message, asked)
    ran = _added(runs, "run", run, answer)
    return Compiled(select(func.count().label("done")).select_from(ran))


def open_in_thread(
    connection: Connection,
    owner_id: UserId,
    cap: LiveRunCap | None,
    question: Values,
    answer: Values,
    run: Values,
) -> tuple[int, list[Any]] | None:
    """As `open_in_new_thread`, in a thread of the owner's that is there, whose time it moves.

    Positions are counted from the last one, which it returns, with the newest of the thread's messages before these,
    as rows of `history.OLDER`. None where nothing was written.
    """
    statement = _going_on(tuple(question), tuple(run), capped=cap is not None)
    values = _asked(owner_id, cap, run) | {"now": run["created_at"]}
    values |= _named("question", question) | _named("answer", answer) | _named("run", run)
    rows = statement.rows(connection, values)
    if not rows:
        return None
    return rows[0][0], [row[1:] for row in rows if row[1] is not None]


@lru_cache
def _going_on(message: Keys, run: Keys, *, capped: bool) -> Compiled:
    # No other run or message can have come into the thread while its row was waited for: the owner is locked.
    opened = (
        update(threads)
        .where(threads.c.id == _THREAD, threads.c.owner_id == bindparam("owner"), *_room(capped=capped))
        .values(updated_at=FORWARD)
        .returning(threads.c.id)
        .cte("opened")
    )
    highest = select(func.coalesce(func.max(messages.c.position), literal_column("0")).label("position"))
    last = highest.where(messages.c.thread_id == _THREAD).cte("last")
    after = select(last.c.position).scalar_subquery()
    asked = _added(messages, "question", message, opened, after)
    answer = _added(messages, "answer", message, asked, after)
    ran = _added(runs, "run", run, answer)
    older = OLDER.where(messages.c.thread_id == _THREAD).subquery("older")
    written = ran.join(last, literal_column("true")).outerjoin(older, literal_column("true"))
    return Compiled(
        select(last.c.position.label("last"), *older.c).select_from(written).order_by(older.c.position.desc())
    )


_THREAD = bindparam("of_thread", type_=threads.c.id.type)


def _asked(owner_id: UserId, cap: LiveRunCap | None, run: Values) -> dict[str, Any]:
    return {"owner": owner_id, "most": cap.most if cap else None, "of_thread": run["thread_id"]}


def _room(*, capped: bool) -> list[ColumnElement[bool]]:
    live = select(runs.c.thread_id).where(runs.c.owner_id == bindparam("owner"), LIVE).cte("live")
    room: list[ColumnElement[bool]] = [~exists().where(live.c.thread_id == _THREAD)]
    if capped:
        room.append(select(func.count()).select_from(live).scalar_subquery() < bindparam("most"))
    return room


def _added(table: Table, part: str, columns: Keys, where: CTE, after: ColumnElement[int] | None = None) -> CTE:
    """One row, if `where` has one. Its position is counted from `after`."""
    values = {column: _value(table, part, column) for column in columns}
    if after is not None:
        values["position"] = after + values["position"]
    row = select(*values.values()).select_from(where)
    return insert(table).from_select(list(columns), row).returning(table.c.id).cte(part)


def end_early(connection: Connection, end: RunEnd, run: Values, status: MessageStatus) -> bool:
    """Ends a run that is the writer's and all of whose content is in its message's row, whatever was saved of it.

    That is so where it had one checkpoint at most, so that no tail of it can be there, and no parts were saved. `run`
    is what is set in its row. False where it is not such a one: nothing is changed then.
    """
    outcome = end.outcome
    measured = {
        "status": outcome.status.value,
        **usage_values(outcome.usage),
        "first_piece_ms": end.first_piece_ms,
        "duration_ms": end.duration_ms,
        "error_code": outcome.error.code if outcome.error else None,
    }
    message = {"content": end.content.text, "status": status.value}
    values = {"of_run": end.run_id, "of_epoch": end.epoch, "now": end.finished_at}
    values |= _named("run", run) | _named("message", message) | _named("record", measured)
    statement = _ending(tuple(run), tuple(message), tuple(measured))
    return bool(statement.rows(connection, values)[0].done)


@lru_cache
def _ending(run: Keys, message: Keys, measured: Keys) -> Compiled:
    # Both rows are locked before either is changed: only what is locked is looked at as it is once it is free.
    held = (
        select(runs.c.message_id, *(runs.c[column] for column in _OF_RUN.values()))
        .join_from(runs, messages, messages.c.id == runs.c.message_id)
        .where(runs.c.id == bindparam("of_run"), runs.c.epoch == bindparam("of_epoch"), LIVE)
        .where(runs.c.heartbeat <= literal_column("1"), not_(messages.c.has_parts))
        .with_for_update(of=(runs, messages), key_share=True)
        .cte("held")
    )
    ended = (
        update(runs)
        .where(runs.c.id == held.c.id)
        .values({column: _value(runs, "run", column) for column in run})
        .returning(runs.c.thread_id)
        .cte("ended")
    )
    told = (
        update(messages)
        .where(messages.c.id == held.c.message_id)
        .values({column: _value(messages, "message", column) for column in message})
        .returning(messages.c.thread_id)
        .cte("told")
    )
    moved = update(threads).where(threads.c.id == told.c.thread_id).values(updated_at=FORWARD).cte("moved")
    row = select(
        *(held.c[column] for column in _OF_RUN.values()),
        *(_value(interactions, "record", column) for column in measured),
    )
    recorded = insert(interactions).from_select([*_OF_RUN, *measured], row).cte("recorded")
    return Compiled(select(func.count().label("done")).select_from(ended).add_cte(moved, recorded))


def _value(table: Table, part: str, column: str) -> Any:
    return bindparam(f"{part}_{column}", type_=table.c[column].type)


def _named(part: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}_{column}": value for column, value in row.items()}
