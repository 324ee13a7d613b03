"""The removal of threads that are not to be kept."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, exists, not_, select

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.tables import LIVE, runs, threads
from chatorch.ports.unstored import UnstoredThreadStore

_IS_OLD = threads.c.updated_at < bindparam("before", type_=UtcTime)
_DUE = (
    select(threads.c.id)
    .where(not_(threads.c.stored), _IS_OLD)
    .where(~exists().where(runs.c.thread_id == threads.c.id, LIVE))
    .order_by(threads.c.updated_at)
    .limit(bindparam("most"))
)
# Rows that another process holds are its own to remove: nobody waits. In this order locks are taken everywhere.
_HOLD = (
    select(threads.c.id)
    .where(threads.c.id.in_(bindparam("ids", expanding=True)), _IS_OLD)
    .order_by(threads.c.id)
    .with_for_update(skip_locked=True)
)
_LIVE_IN = select(runs.c.thread_id).where(runs.c.thread_id.in_(bindparam("ids", expanding=True)), LIVE)
_FORGET = delete(threads).where(threads.c.id.in_(bindparam("ids", expanding=True)))


class SqlUnstoredThreadStore(UnstoredThreadStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, before: datetime, limit: int) -> int:
        """Nearly always there is nothing to do, and so nothing to lock."""
        values = {"before": before, "most": limit}
        ids = await self._database.read(lambda connection: list(connection.execute(_DUE, values).scalars()))
        return await self._database.write(lambda connection: _forget(connection, ids, before)) if ids else 0


def _forget(connection: Connection, ids: list[str], before: datetime) -> int:
    """What is in a thread goes with it (ON DELETE CASCADE). One that goes on by now has moved, or has a live run."""
    held = set(connection.execute(_HOLD, {"ids": ids, "before": before}).scalars())
    held -= set(connection.execute(_LIVE_IN, {"ids": ids}).scalars())
    return connection.execute(_FORGET, {"ids": sorted(held)}).rowcount if held else 0
