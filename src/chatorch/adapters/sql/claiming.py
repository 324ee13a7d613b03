"""Runs as whoever takes them over finds them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.history import read_history
from chatorch.adapters.sql.outcomes import to_usage
from chatorch.adapters.sql.reaping import settled
from chatorch.adapters.sql.rows import SELECT_RUN, to_run
from chatorch.adapters.sql.spending import spend
from chatorch.adapters.sql.tables import messages, runs
from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.estimates import with_attempt
from chatorch.domain.model.run import LastContent, RunStatus, base_of
from chatorch.ports.execution_store import ClaimedRun, LiveRun

_THESE = runs.c.id.in_(bindparam("run_ids", expanding=True))
_TAKE = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        status=RunStatus.QUEUED.value,
        epoch=bindparam("new_epoch"),
        seq=bindparam("new_seq"),
        heartbeat=bindparam("new_heartbeat"),
        beat_at=bindparam("now", type_=UtcTime),
    )
)
_TAKEN = SELECT_RUN.where(_THESE).order_by(runs.c.created_at, runs.c.id)
_STANDS_AT = select(messages.c.id, messages.c.position).where(
    messages.c.id.in_(bindparam("message_ids", expanding=True))
)


def claim(
    connection: Connection,
    seen: Sequence[LiveRun],
    now: datetime,
    contents: Mapping[RunId, LastContent],
    *,
    history_chars: int,
) -> list[ClaimedRun]:
    """See `chatorch.ports.execution_store.ExecutionStore.claim`."""
    left = settled(connection, seen, contents)
    if not left:
        return []
    taken = [
        {
            "run_id": row.id,
            "new_epoch": row.epoch + 1,
            "new_seq": base_of(row.epoch) + content.tip,
            "new_heartbeat": row.heartbeat + 1,
            "now": now,
        }
        for row, content in left.items()
    ]
    connection.execute(_TAKE, taken)
    rows = connection.execute(_TAKEN, {"run_ids": [row.id for row in left]}).all()
    answers = connection.execute(_STANDS_AT, {"message_ids": [row.message_id for row in rows]})
    stands_at = {row.id: row.position for row in answers}
    # All that there is of these is of attempts before the last one, which have been counted.
    silent = {row.id for row, content in left.items() if content.epoch < row.epoch}
    claimed = []
    for row in rows:
        before = stands_at[row.message_id] - 1
        history = read_history(connection, ThreadId(row.thread_id), before, history_chars)
        run = to_run(row)
        spent = with_attempt(to_usage(row), history, run.content, row.kept or 0, silent=row.id in silent)
        claimed.append(ClaimedRun(run, history, spent, row.kept or 0, row.cancel_requested))
    spend(connection, {each.run.id: each.spent for each in claimed})
    return claimed
