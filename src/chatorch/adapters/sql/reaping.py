"""Runs as whoever looks for abandoned ones sees and ends them, without waiting for a lock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from chatorch.adapters.sql import parts
from chatorch.adapters.sql.access import touch_threads
from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.outcomes import USAGE, to_usage, usage_values
from chatorch.adapters.sql.rows import SELECT_RUN, AnyRow, interaction, interaction_values, to_run
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs, sweeps, threads
from chatorch.adapters.sql.tails import fold, fold_left
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId, Usage
from chatorch.domain.model.estimates import with_last_attempt
from chatorch.domain.model.run import LastContent, RunStatus, base_of, content_epoch
from chatorch.ports.execution_store import LiveRun

_LOCK_TABLES = text(
    "LOCK TABLE runs, messages, threads, interactions, answer_tails, message_parts, sweeps IN ROW EXCLUSIVE MODE NOWAIT"
)
"""What every INSERT and UPDATE takes. Who gets it waits for no table afterwards."""

_WRITE = insert(sweeps)
_TAKE_BACK = delete(sweeps).where(sweeps.c.id == bindparam("of_sweep"))
_LIVE_RUNS = select(
    runs.c.id, runs.c.epoch, runs.c.heartbeat, runs.c.owner_id, runs.c.created_at, runs.c.beat_at,
    runs.c.cancel_requested,
).where(LIVE)  # fmt: skip
_REAP = 0x63686174_72656170
"""The key of the advisory lock that those who watch queue for: "chatreap"."""
_ONE_AT_A_TIME = select(func.pg_advisory_xact_lock(literal(_REAP, BigInteger)))
_THESE = runs.c.id.in_(bindparam("run_ids", expanding=True))
_TRY = update(runs).values(heartbeat=runs.c.heartbeat)
"""A heartbeat that moves nothing: what would refuse an executor's refuses this one too."""
_TRY_FREE = _TRY.where(runs.c.id.in_(select(runs.c.id).where(_THESE).with_for_update(skip_locked=True)))

_LOCK = (
    select(
        runs.c.id,
        runs.c.epoch,
        runs.c.status,
        runs.c.seq,
        runs.c.heartbeat,
        runs.c.message_id,
        runs.c.thread_id,
        runs.c.owner_id,
        runs.c.model,
        runs.c.created_at,
        runs.c.guest_label,
        *(runs.c[name] for name in USAGE),
        messages.c.has_parts,
    )
    .join_from(runs, messages, messages.c.id == runs.c.message_id)
    .join(threads, threads.c.id == runs.c.thread_id)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)), LIVE)
    .order_by(runs.c.id)
    .with_for_update(skip_locked=True)
)
_SAVE = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(content=bindparam("text"), has_parts=bindparam("with_parts"))
)
_INTERRUPT = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        status=RunStatus.INTERRUPTED.value,
        epoch=bindparam("new_epoch"),
        seq=bindparam("new_seq"),
        finished_at=bindparam("now", type_=UtcTime),
        **{name: bindparam(f"new_{name}") for name in USAGE},
    )
)
_WITH_CONTENT = SELECT_RUN.where(_THESE)
_INTERRUPT_MESSAGES = (
    update(messages)
    .where(messages.c.id.in_(bindparam("message_ids", expanding=True)))
    .values(status=MessageStatus.INCOMPLETE.value)
)
_ADD_INTERACTIONS = insert(interactions)


class Left(NamedTuple):
    """Where the content of a run ends, counted from the beginning of its epoch, and under which one that was said."""

    tip: int
    epoch: int


def live_runs(connection: Connection) -> list[LiveRun]:
    """See `chatorch.ports.execution_store.ExecutionStore.live_runs`."""
    return [LiveRun(*row) for row in connection.execute(_LIVE_RUNS)]


def witness(connection: Connection, quiet: Collection[RunId]) -> list[LiveRun]:
    """See `chatorch.ports.execution_store.ExecutionStore.witness`."""
    _require_tables(connection)
    # A row that nobody else can mean, and that nobody ever sees.
    sweep = uuid4().hex
    connection.execute(_WRITE, {"id": sweep})
    connection.execute(_TAKE_BACK, {"of_sweep": sweep})
    held = _try_to_move(connection, quiet) if quiet else frozenset()
    return [run for run in live_runs(connection) if run.run_id not in held]


def _try_to_move(connection: Connection, quiet: Collection[RunId]) -> frozenset[RunId]:
    """Which of them another transaction holds; raises where the others' heartbeats could not be written."""
    if connection.dialect.name != "postgresql":
        connection.execute(_TRY.where(_THESE), {"run_ids": list(quiet)})
        return frozenset()
    # Taken back at once, locks and all: a checkpoint that finds a row locked leaves it out. One at a time: those who
    # watch must not take each other for an executor.
    with connection.begin_nested() as trying:
        connection.execute(_ONE_AT_A_TIME)
        free = connection.execute(_TRY_FREE.returning(runs.c.id), {"run_ids": list(quiet)}).scalars().all()
        trying.rollback()
    return frozenset(quiet) - frozenset(map(RunId, free))


def interrupt(
    connection: Connection, seen: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, LastContent]
) -> list[RunId]:
    """See `chatorch.ports.execution_store.ExecutionStore.interrupt`."""
    left = settled(connection, seen, contents)
    rows = list(left)
    if not rows:
        return []
    spoke = [row for row, content in left.items() if content.epoch == row.epoch]
    used = {row.id: to_usage(row) for row in rows} | _used_by_last_attempts(connection, spoke)
    # Its end is told under the next epoch, one beyond its content.
    ends = [
        {
            "run_id": row.id,
            "new_epoch": row.epoch + 1,
            "new_seq": base_of(row.epoch + 1) + content.tip + 1,
            "now": now,
            **{f"new_{name}": value for name, value in usage_values(used[row.id]).items()},
        }
        for row, content in left.items()
    ]
    connection.execute(_INTERRUPT, ends)
    connection.execute(_INTERRUPT_MESSAGES, {"message_ids": [row.message_id for row in rows]})
    touch_threads(connection, [ThreadId(row.thread_id) for row in rows], now)
    records = [replace(interaction(row), usage=used[row.id]) for row in rows]
    connection.execute(_ADD_INTERACTIONS, [interaction_values(record) for record in records])
    return [RunId(row.id) for row in rows]


def _used_by_last_attempts(connection: Connection, rows: Sequence[AnyRow]) -> dict[str, Usage]:
    """With what was spent before, of the runs of which that is known. All of them had said something since."""
    spent = {row.id: usage for row in rows if (usage := to_usage(row)) is not None}
    if not spent:
        return {}
    whole = connection.execute(_WITH_CONTENT, {"run_ids": list(spent)})
    attempts = ((to_run(row), row.kept or 0) for row in whole)
    return {run.id: with_last_attempt(spent[run.id], run.attempts, run.content, kept) for run, kept in attempts}


def settled(
    connection: Connection, seen: Sequence[LiveRun], contents: Mapping[RunId, LastContent]
) -> dict[AnyRow, Left]:
    """Those of them that are live and exactly as seen, locked, with all of their content in its message, the freshest
    that is known."""
    _require_tables(connection)
    as_seen = {run.run_id: (run.epoch, run.heartbeat) for run in seen}
    locked = connection.execute(_LOCK, {"run_ids": list(as_seen)}).all()
    rows = [row for row in locked if (row.epoch, row.heartbeat) == as_seen[row.id]]
    if not rows:
        return {}
    fresh = _save_fresher(connection, rows, contents)
    fold(connection, [row.message_id for row in rows if row.id not in fresh], [row.id for row in rows])
    fold_left(connection)
    return {row: Left(told.content.tip, told.epoch) if (told := fresh.get(row.id)) else _saved(row) for row in rows}


def _saved(row: AnyRow) -> Left:
    epoch = content_epoch(RunStatus(row.status), row.epoch)
    return Left(int(row.seq) - base_of(epoch), epoch)


def _save_fresher(
    connection: Connection, rows: Sequence[AnyRow], contents: Mapping[RunId, LastContent]
) -> Mapping[str, LastContent]:
    """Of the runs of which something fresher is known than was saved, all of it: that is saved now."""
    fresh = {
        row.id: told
        for row in rows
        if (told := contents.get(RunId(row.id))) is not None
        and told.replaces(RunStatus(row.status), row.epoch, _saved(row).tip)
    }
    if not fresh:
        return fresh
    some = [(row, fresh[row.id].content) for row in rows if row.id in fresh]
    saved = [{"message_id": row.message_id, "text": all_.text, "with_parts": not all_.text_only} for row, all_ in some]
    connection.execute(_SAVE, saved)
    for row, all_ in some:
        if row.has_parts or not all_.text_only:
            parts.write_whole(connection, row.message_id, all_)
    return fresh


def _require_tables(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_TABLES)
