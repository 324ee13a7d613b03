"""Runs as their executors report them. The run's row decides: what has ended, or has another epoch, is left alone."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, insert, literal_column, select, update

from chatorch.adapters.sql import reaping
from chatorch.adapters.sql.access import touch_threads
from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.rows import AnyRow, Values, interaction, interaction_values, usage_values
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs
from chatorch.adapters.sql.tails import append, drop
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import RunStatus, position_after
from chatorch.ports.runs import Checkpoint, ExecutionStore, LiveRun, Outcome, Ownership

INTERRUPTED_AT_ONCE = 10
"""In one transaction: heartbeats go in between."""

_RUN_IDS: BindParameter[Any] = bindparam("run_ids", expanding=True)
_LOCK_LIVE = (
    select(runs.c.id, runs.c.epoch, runs.c.cancel_requested, runs.c.message_id)
    .where(runs.c.id.in_(_RUN_IDS), LIVE)
    .order_by(runs.c.id)
    .with_for_update(skip_locked=True)
)
_HELD = select(runs.c.id, runs.c.epoch).where(runs.c.id.in_(_RUN_IDS), LIVE)
_FREE_MESSAGES = (
    select(messages.c.id)
    .where(messages.c.id.in_(bindparam("message_ids", expanding=True)))
    .with_for_update(skip_locked=True)
)
_BEAT = (
    update(runs)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)))
    .values(heartbeat=runs.c.heartbeat + literal_column("1"))
)
_MOVE = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        status=RunStatus.STREAMING.value,
        seq=bindparam("new_seq"),
        heartbeat=runs.c.heartbeat + literal_column("1"),
    )
)
_SAVE_TEXT = update(messages).where(messages.c.id == bindparam("message_id")).values(content=bindparam("text"))
_END = Compiled(
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.epoch == bindparam("of_epoch"), LIVE)
    .returning(
        runs.c.id, runs.c.thread_id, runs.c.user_message_id, runs.c.message_id, runs.c.owner_id, runs.c.model,
        runs.c.created_at, runs.c.guest_label, runs.c.heartbeat,
    )
)  # fmt: skip
_END_MESSAGE = Compiled(
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(content=bindparam("text"), status=bindparam("new_status"))
)
_MARK_REFUSED = (
    update(messages).where(messages.c.id == bindparam("message_id")).values(status=MessageStatus.INCOMPLETE.value)
)
_EPOCH_AND_STATUS = select(runs.c.epoch, runs.c.status).where(runs.c.id == bindparam("run_id"))
_ADD_INTERACTIONS = Compiled(insert(interactions))


class SqlExecutionStore(ExecutionStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> Mapping[RunId, Ownership]:
        if not checkpoints:
            return {}
        return await self._database.write_first(lambda connection: _checkpoint(connection, checkpoints))

    async def finish(self, ending: Outcome) -> bool:
        return await self._database.write(lambda connection: _finish(connection, ending))

    async def live_runs(self) -> Sequence[LiveRun]:
        return await self._database.read(reaping.live_runs)

    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:
        return await self._database.write_at_once(lambda connection: reaping.witness(connection, quiet))

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, texts: Mapping[RunId, str] = MappingProxyType({})
    ) -> Sequence[RunId]:
        ended: list[RunId] = []
        for start in range(0, len(runs), INTERRUPTED_AT_ONCE):
            some = runs[start : start + INTERRUPTED_AT_ONCE]
            end = partial(reaping.interrupt, seen=some, now=now, texts=texts)
            try:
                ended += await self._database.write_at_once(end)
            except StoreUnavailable:
                if not ended:
                    raise
                break
        return ended


def _checkpoint(connection: Connection, checkpoints: Sequence[Checkpoint]) -> dict[RunId, Ownership]:
    live = {row.id: row for row in connection.execute(_LOCK_LIVE, {"run_ids": [c.run_id for c in checkpoints]})}
    mine = [c for c in checkpoints if (row := live.get(c.run_id)) is not None and row.epoch == c.epoch]
    standings = {c.run_id: Ownership.LOST for c in checkpoints}
    standings |= {c.run_id: Ownership.CANCEL if live[c.run_id].cancel_requested else Ownership.MINE for c in mine}
    standings |= _held(connection, [c for c in checkpoints if c.run_id not in live])
    tails = [c for c in mine if c.text and c.start]
    wholes = _save_whole(connection, live, [c for c in mine if c.text is not None and not c.start])
    standings |= {run_id: Ownership.HELD for run_id, saved in wholes.items() if not saved}
    if tails:
        append(connection, [{"run_id": c.run_id, "start": c.start, "text": c.text} for c in tails])
    moved = [*tails, *(c for c in mine if wholes.get(c.run_id))]
    if moved:
        values = [{"run_id": c.run_id, "new_seq": position_after(c.text or "") + c.start} for c in moved]
        connection.execute(_MOVE, values)
    if silent := {c.run_id for c in mine} - {c.run_id for c in moved}:
        connection.execute(_BEAT, {"run_ids": list(silent)})
    return standings


def _save_whole(
    connection: Connection, live: Mapping[str, AnyRow], checkpoints: Sequence[Checkpoint]
) -> dict[RunId, bool]:
    """Which of them were saved. Waits for no message that is held: the others' heartbeats hang on it."""
    if not checkpoints:
        return {}
    texts = {live[c.run_id].message_id: c for c in checkpoints}
    free = connection.execute(_FREE_MESSAGES, {"message_ids": list(texts)}).scalars().all()
    if free:
        connection.execute(_SAVE_TEXT, [{"message_id": id_, "text": texts[id_].text} for id_ in free])
        drop(connection, [texts[id_].run_id for id_ in free])
    return {c.run_id: id_ in free for id_, c in texts.items()}


def _held(connection: Connection, missing: Sequence[Checkpoint]) -> dict[RunId, Ownership]:
    """Of those whose rows were not to be had, those that are the writer's still."""
    if not missing or connection.dialect.name != "postgresql":
        return {}
    rows = connection.execute(_HELD, {"run_ids": [c.run_id for c in missing]})
    epochs = {row.id: row.epoch for row in rows}
    return {c.run_id: Ownership.HELD for c in missing if epochs.get(c.run_id) == c.epoch}


def _finish(connection: Connection, ending: Outcome) -> bool:
    row = _END.first(connection, _ending_values(ending))
    if row is None:
        # Either an earlier attempt of mine got through and only its answer was lost, or somebody else was quicker.
        found = connection.execute(_EPOCH_AND_STATUS, {"run_id": ending.run_id}).one_or_none()
        return found is not None and found.epoch == ending.epoch and not RunStatus(found.status).live
    complete = ending.status is RunStatus.COMPLETED
    status = MessageStatus.COMPLETE if complete else MessageStatus.INCOMPLETE
    _END_MESSAGE.run(connection, {"message_id": row.message_id, "text": ending.text, "new_status": status.value})
    if row.heartbeat > 1:  # a tail comes with a second checkpoint, and most runs are over before that
        drop(connection, [row.id])
    if ending.refused:
        connection.execute(_MARK_REFUSED, {"message_id": row.user_message_id})
    touch_threads(connection, [ThreadId(row.thread_id)], ending.finished_at)
    _ADD_INTERACTIONS.run(connection, interaction_values(interaction(row, ending)))
    return True


def _ending_values(ending: Outcome) -> Values:
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
