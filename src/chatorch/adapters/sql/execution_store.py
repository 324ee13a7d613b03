"""Runs as their executors report them. The run's row decides: what has ended, or has another epoch, is left alone."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    bindparam,
    func,
    insert,
    literal_column,
    not_,
    select,
    update,
)

from chatorch.adapters.sql import claiming, parts, reaping
from chatorch.adapters.sql.access import touch_threads
from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.one_statement import end_early
from chatorch.adapters.sql.outcomes import outcome_values
from chatorch.adapters.sql.rows import AnyRow, Values, interaction, interaction_values
from chatorch.adapters.sql.spending import spend
from chatorch.adapters.sql.tables import LIVE, interactions, messages, runs
from chatorch.adapters.sql.tails import append, drop
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageStatus, RunId, ThreadId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import LastContent, RunStatus, base_of
from chatorch.ports.execution_store import Checkpoint, ClaimedRun, ExecutionStore, LiveRun, Ownership, RunEnd

INTERRUPTED_AT_ONCE = 10
"""In one transaction: heartbeats go in between."""

_RUN_IDS: BindParameter[Any] = bindparam("run_ids", expanding=True)
_LOCK_LIVE = (
    select(runs.c.id, runs.c.epoch, runs.c.status, runs.c.cancel_requested, runs.c.message_id)
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
_BEAT_AT = func.coalesce(bindparam("beats_at", type_=UtcTime), runs.c.beat_at)
_BEAT = (
    update(runs)
    .where(runs.c.id.in_(bindparam("run_ids", expanding=True)))
    .values(heartbeat=runs.c.heartbeat + literal_column("1"), beat_at=_BEAT_AT)
)
_MOVE = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        status=RunStatus.STREAMING.value,
        seq=bindparam("new_seq"),
        heartbeat=runs.c.heartbeat + literal_column("1"),
        beat_at=_BEAT_AT,
        kept=func.coalesce(bindparam("now_kept", type_=BigInteger), runs.c.kept),
    )
)
_SAVE_TEXT = update(messages).where(messages.c.id == bindparam("message_id")).values(content=bindparam("text"))
_WITHOUT_PARTS = (
    update(messages).where(messages.c.id.in_(bindparam("message_ids", expanding=True))).values(has_parts=False)
)
_END = Compiled(
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.epoch == bindparam("of_epoch"), LIVE)
    .returning(
        runs.c.id, runs.c.thread_id, runs.c.user_message_id, runs.c.message_id, runs.c.owner_id, runs.c.model,
        runs.c.created_at, runs.c.guest_label, runs.c.heartbeat, runs.c.epoch,
    )
)  # fmt: skip
_END_MESSAGE = Compiled(
    update(messages)
    .where(messages.c.id == bindparam("message_id"), not_(messages.c.has_parts))
    .values(content=bindparam("text"), status=bindparam("new_status"))
)
_END_MESSAGE_OF_PARTS = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(content=bindparam("text"), status=bindparam("new_status"), has_parts=bindparam("with_parts"))
)
_MARK_REFUSED = (
    update(messages).where(messages.c.id == bindparam("message_id")).values(status=MessageStatus.INCOMPLETE.value)
)
_EPOCH_AND_STATUS = select(runs.c.epoch, runs.c.status).where(runs.c.id == bindparam("run_id"))
_ADD_INTERACTIONS = Compiled(insert(interactions))


class SqlExecutionStore(ExecutionStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def checkpoint(
        self, checkpoints: Sequence[Checkpoint], now: datetime | None = None
    ) -> Mapping[RunId, Ownership]:
        if not checkpoints:
            return {}
        return await self._database.write_first(lambda connection: _checkpoint(connection, checkpoints, now))

    async def finish(self, end: RunEnd) -> bool:
        called = end.tally is not None and bool(end.tally.tools)
        if self._database.chains and not (end.refused or called) and end.content.text_only and end.epoch == 1:
            run, status = _ended_values(end), _message_status(end)
            if await self._database.write_once(lambda connection: end_early(connection, end, run, status)):
                return True
        return await self._database.write(lambda connection: _finish(connection, end))

    async def live_runs(self) -> Sequence[LiveRun]:
        return await self._database.read(reaping.live_runs)

    async def witness(self, quiet: Collection[RunId] = ()) -> Sequence[LiveRun]:
        return await self._database.write_at_once(lambda connection: reaping.witness(connection, quiet))

    async def claim(
        self,
        runs: Sequence[LiveRun],
        now: datetime,
        contents: Mapping[RunId, LastContent] = MappingProxyType({}),
        *,
        history_chars: int,
    ) -> Sequence[ClaimedRun]:
        if not runs:
            return []
        take = partial(claiming.claim, seen=runs, now=now, contents=contents, history_chars=history_chars)
        return await self._database.write_at_once(take)

    async def interrupt(
        self, runs: Sequence[LiveRun], now: datetime, contents: Mapping[RunId, LastContent] = MappingProxyType({})
    ) -> Sequence[RunId]:
        ended: list[RunId] = []
        for start in range(0, len(runs), INTERRUPTED_AT_ONCE):
            some = runs[start : start + INTERRUPTED_AT_ONCE]
            end = partial(reaping.interrupt, seen=some, now=now, contents=contents)
            try:
                ended += await self._database.write_at_once(end)
            except StoreUnavailable:
                if not ended:
                    raise
                break
        return ended


def _checkpoint(
    connection: Connection, checkpoints: Sequence[Checkpoint], now: datetime | None
) -> dict[RunId, Ownership]:
    live = {row.id: row for row in connection.execute(_LOCK_LIVE, {"run_ids": [c.run_id for c in checkpoints]})}
    mine = [c for c in checkpoints if (row := live.get(c.run_id)) is not None and row.epoch == c.epoch]
    ownerships = {c.run_id: Ownership.LOST for c in checkpoints}
    ownerships |= {c.run_id: Ownership.CANCEL if live[c.run_id].cancel_requested else Ownership.MINE for c in mine}
    ownerships |= _held(connection, [c for c in checkpoints if c.run_id not in live])
    again = {c.run_id for c in mine if c.news and _begins_anew(live[c.run_id])}
    touching = _touching(connection, live, [c for c in mine if _is_whole(c) or c.parts or c.run_id in again])
    ownerships |= {run_id: Ownership.HELD for run_id, free in touching.items() if not free}
    saved = [c for c in mine if c.news and touching.get(c.run_id, True)]
    if anew := [c for c in saved if c.run_id in again]:
        _forget_before(connection, [live[c.run_id] for c in anew])
    if wholes := [c for c in saved if _is_whole(c)]:
        connection.execute(_SAVE_TEXT, [{"message_id": live[c.run_id].message_id, "text": c.text} for c in wholes])
        drop(connection, [c.run_id for c in wholes])
    if tails := [c for c in saved if c.text and c.start]:
        append(connection, [{"run_id": c.run_id, "start": c.start, "text": c.text} for c in tails])
    parts.put(connection, [(live[c.run_id].message_id, c.parts) for c in saved if c.parts])
    if saved:
        connection.execute(_MOVE, [_moved(c, now) for c in saved])
        spend(connection, {c.run_id: c.used for c in saved if c.used is not None})
    if silent := {c.run_id for c in mine} - {c.run_id for c in saved}:
        connection.execute(_BEAT, {"run_ids": list(silent), "beats_at": now})
    return ownerships


def _moved(checkpoint: Checkpoint, now: datetime | None) -> Values:
    position = base_of(checkpoint.epoch) + checkpoint.position
    return {"run_id": checkpoint.run_id, "new_seq": position, "beats_at": now, "now_kept": checkpoint.kept}


def _begins_anew(row: AnyRow) -> bool:
    """Whether what is there is of an attempt before, and stands until this one has said something."""
    return bool(row.epoch > 1 and row.status == RunStatus.QUEUED.value)


def _forget_before(connection: Connection, rows: Sequence[AnyRow]) -> None:
    for row in rows:
        connection.execute(_SAVE_TEXT, {"message_id": row.message_id, "text": ""})
        parts.write_whole(connection, row.message_id, Content())
    connection.execute(_WITHOUT_PARTS, {"message_ids": [row.message_id for row in rows]})


def _is_whole(checkpoint: Checkpoint) -> bool:
    return checkpoint.text is not None and not checkpoint.start


def _touching(
    connection: Connection, live: Mapping[str, AnyRow], checkpoints: Sequence[Checkpoint]
) -> dict[RunId, bool]:
    """Of those that change a message, or need it for rows of their own, whether it is to be had.

    Waits for no message that is held: the others' heartbeats hang on it.
    """
    if not checkpoints:
        return {}
    ids = {c.run_id: live[c.run_id].message_id for c in checkpoints}
    free = set(connection.execute(_FREE_MESSAGES, {"message_ids": list(ids.values())}).scalars())
    return {run_id: message_id in free for run_id, message_id in ids.items()}


def _held(connection: Connection, missing: Sequence[Checkpoint]) -> dict[RunId, Ownership]:
    """Of those whose rows were not to be had, those that are the writer's still."""
    if not missing or connection.dialect.name != "postgresql":
        return {}
    rows = connection.execute(_HELD, {"run_ids": [c.run_id for c in missing]})
    epochs = {row.id: row.epoch for row in rows}
    return {c.run_id: Ownership.HELD for c in missing if epochs.get(c.run_id) == c.epoch}


def _finish(connection: Connection, end: RunEnd) -> bool:
    row = _END.first(connection, {"run_id": end.run_id, "of_epoch": end.epoch, **_ended_values(end)})
    if row is None:
        # Either an earlier attempt of mine got through and only its answer was lost, or somebody else was quicker.
        found = connection.execute(_EPOCH_AND_STATUS, {"run_id": end.run_id}).one_or_none()
        return found is not None and found.epoch == end.epoch and not RunStatus(found.status).live
    _end_message(connection, row, end)
    if row.heartbeat > 1:  # a tail comes with a second checkpoint, and most runs are over before that
        drop(connection, [row.id])
    if end.refused:
        connection.execute(_MARK_REFUSED, {"message_id": row.user_message_id})
    touch_threads(connection, [ThreadId(row.thread_id)], end.finished_at)
    _ADD_INTERACTIONS.run(connection, interaction_values(interaction(row, end)))
    return True


def _end_message(connection: Connection, row: AnyRow, end: RunEnd) -> None:
    values = {"message_id": row.message_id, "text": end.content.text, "new_status": _message_status(end).value}
    if end.content.text_only and _END_MESSAGE.run(connection, values):
        return
    connection.execute(_END_MESSAGE_OF_PARTS, {**values, "with_parts": not end.content.text_only})
    # What was never saved has no rows to take away.
    parts.write_whole(connection, row.message_id, end.content, instead=row.heartbeat > 0)


def _message_status(end: RunEnd) -> MessageStatus:
    return MessageStatus.COMPLETE if end.outcome.status is RunStatus.COMPLETED else MessageStatus.INCOMPLETE


def _ended_values(end: RunEnd) -> Values:
    """What an end sets in the run's row."""
    return {
        "seq": end.seq,
        "finished_at": end.finished_at,
        **outcome_values(end.outcome),
    }
