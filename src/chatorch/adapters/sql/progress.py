"""Runs as their executors report them. The run's row decides: what has ended, or has another epoch, is left alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from chatorch.adapters.sql.access import touch_threads
from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.rows import AnyRow, Values, interaction_values, usage_values
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import TAKEOVER_GAP, Interaction, RunStatus, position_after
from chatorch.ports.runs import Checkpoint, Ending, LiveRun, RunProgress, Standing

_LOCK_LIVE = (
    select(
        runs.c.id,
        runs.c.epoch,
        runs.c.seq,
        runs.c.heartbeat,
        runs.c.cancel_requested,
        runs.c.message_id,
        runs.c.thread_id,
        runs.c.owner_id,
        runs.c.model,
        runs.c.created_at,
        runs.c.guest_label,
    )
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)), LIVE)
    .order_by(runs.c.id)
    .with_for_update()
)
_BEAT = (
    update(runs)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)))
    .values(heartbeat=runs.c.heartbeat + literal_column("1"))
)
_MOVE = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(status=RunStatus.STREAMING.value, seq=bindparam("new_seq"))
)
_SAVE_TEXT = update(messages).where(messages.c.id == bindparam("message_id")).values(content=bindparam("text"))
_END = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.epoch == bindparam("of_epoch"), LIVE)
    .returning(
        runs.c.id, runs.c.thread_id, runs.c.user_message_id, runs.c.message_id, runs.c.owner_id, runs.c.model,
        runs.c.created_at, runs.c.guest_label,
    )
)  # fmt: skip
_END_MESSAGE = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(content=bindparam("text"), status=bindparam("new_status"))
)
_MARK_REFUSED = (
    update(messages).where(messages.c.id == bindparam("message_id")).values(status=MessageStatus.INCOMPLETE.value)
)
_EPOCH_AND_STATUS = select(runs.c.epoch, runs.c.status).where(runs.c.id == bindparam("run_id"))
_LIVE_RUNS = select(runs.c.id, runs.c.epoch, runs.c.heartbeat).where(LIVE)
_INTERRUPT = (
    update(runs)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)))
    .values(
        status=RunStatus.INTERRUPTED.value,
        epoch=runs.c.epoch + literal_column("1"),
        # A live run's `seq` is the position after its text; the terminal event is the next, and then the gap.
        seq=runs.c.seq + literal_column(str(1 + TAKEOVER_GAP)),
        finished_at=bindparam("now", type_=UtcTime),
    )
)
_INTERRUPT_MESSAGES = (
    update(messages)
    .where(messages.c.id.in_(bindparam("message_ids", expanding=True)))
    .values(status=MessageStatus.INCOMPLETE.value)
)
_ADD_INTERACTIONS = insert(interactions)


class SqlRunProgress(RunProgress):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Standing]:
        if not checkpoints:
            return {}
        return await self._database.write(lambda connection: _checkpoint(connection, checkpoints))

    async def finish(self, ending: Ending) -> bool:
        return await self._database.write(lambda connection: _finish(connection, ending))

    async def live_runs(self) -> Sequence[LiveRun]:
        return await self._database.read(_live_runs)

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, texts: Mapping[RunId, str] = MappingProxyType({})
    ) -> Sequence[RunId]:
        if not runs:
            return []
        return await self._database.write(lambda connection: _interrupt(connection, runs, now, texts))


def _checkpoint(connection: Connection, checkpoints: Sequence[Checkpoint]) -> dict[RunId, Standing]:
    standings = {checkpoint.run_id: Standing.LOST for checkpoint in checkpoints}
    live = {row.id: row for row in connection.execute(_LOCK_LIVE, {"run_ids": list(standings)})}
    moves: list[Values] = []
    texts: list[Values] = []
    mine: list[RunId] = []
    for checkpoint in checkpoints:
        row = live.get(checkpoint.run_id)
        if row is None or row.epoch != checkpoint.epoch:
            continue
        standings[checkpoint.run_id] = Standing.CANCEL if row.cancel_requested else Standing.MINE
        mine.append(checkpoint.run_id)
        if checkpoint.text is not None:
            moves.append({"run_id": checkpoint.run_id, "new_seq": position_after(checkpoint.text)})
            texts.append({"message_id": row.message_id, "text": checkpoint.text})
    if mine:
        connection.execute(_BEAT, {"run_ids": mine})
    if moves:
        connection.execute(_MOVE, moves)
        connection.execute(_SAVE_TEXT, texts)
    return standings


def _finish(connection: Connection, ending: Ending) -> bool:
    row = connection.execute(_END, _ending_values(ending)).one_or_none()
    if row is None:
        # Either an earlier attempt of mine got through and only its answer was lost, or somebody else was quicker.
        found = connection.execute(_EPOCH_AND_STATUS, {"run_id": ending.run_id}).one_or_none()
        return found is not None and found.epoch == ending.epoch and not RunStatus(found.status).live
    complete = ending.status is RunStatus.COMPLETED
    status = MessageStatus.COMPLETE if complete else MessageStatus.INCOMPLETE
    connection.execute(_END_MESSAGE, {"message_id": row.message_id, "text": ending.text, "new_status": status.value})
    if ending.refused:
        connection.execute(_MARK_REFUSED, {"message_id": row.user_message_id})
    touch_threads(connection, [ThreadId(row.thread_id)], ending.finished_at)
    connection.execute(_ADD_INTERACTIONS, interaction_values(_interaction(row, ending)))
    return True


def _ending_values(ending: Ending) -> Values:
    """What `_END` sets, and which run it looks for."""
    error = ending.error
    return {
        "run_id": ending.run_id,
        "of_epoch": ending.epoch,
        "status": ending.status.value,
        "seq": ending.seq,
        "finished_at": ending.finished_at,
        "finish_reason": ending.finish_reason,
        **usage_values(ending.usage),
        "error_code": error.code if error else None,
        "error_detail": error.detail if error else None,
        "error_retryable": error.retryable if error else None,
        "cancel_reason": ending.cancel_reason.value if ending.cancel_reason else None,
    }


def _live_runs(connection: Connection) -> list[LiveRun]:
    return [LiveRun(RunId(row.id), row.epoch, row.heartbeat) for row in connection.execute(_LIVE_RUNS)]


def _interrupt(
    connection: Connection, seen: Sequence[LiveRun], now: datetime, texts: Mapping[RunId, str]
) -> list[RunId]:
    as_seen = {run.run_id: (run.epoch, run.heartbeat) for run in seen}
    locked = connection.execute(_LOCK_LIVE, {"run_ids": list(as_seen)}).all()
    rows = [row for row in locked if (row.epoch, row.heartbeat) == as_seen[row.id]]
    if not rows:
        return []
    _save_longer(connection, rows, texts)
    connection.execute(_INTERRUPT, {"run_ids": [row.id for row in rows], "now": now})
    connection.execute(_INTERRUPT_MESSAGES, {"message_ids": [row.message_id for row in rows]})
    touch_threads(connection, [ThreadId(row.thread_id) for row in rows], now)
    connection.execute(_ADD_INTERACTIONS, [interaction_values(_interaction(row)) for row in rows])
    return [RunId(row.id) for row in rows]


def _save_longer(connection: Connection, rows: Sequence[AnyRow], texts: Mapping[RunId, str]) -> None:
    longer = [(row, text) for row in rows if position_after(text := texts.get(RunId(row.id), "")) > row.seq]
    if longer:
        connection.execute(_MOVE, [{"run_id": row.id, "new_seq": position_after(text)} for row, text in longer])
        connection.execute(_SAVE_TEXT, [{"message_id": row.message_id, "text": text} for row, text in longer])


def _interaction(row: AnyRow, ending: Ending | None = None) -> Interaction:
    """The record of a run's end; without an `Ending`, of one that nobody was left to measure."""
    return Interaction(
        run_id=RunId(row.id),
        thread_id=ThreadId(row.thread_id),
        user_id=UserId(row.owner_id),
        model=row.model,
        status=ending.status if ending else RunStatus.INTERRUPTED,
        usage=ending.usage if ending else None,
        first_piece_ms=ending.first_piece_ms if ending else None,
        duration_ms=ending.duration_ms if ending else None,
        error_code=ending.error.code if ending and ending.error else None,
        created_at=row.created_at,
        guest_label=row.guest_label,
    )
