"""What guests left, and its removal."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, select

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.tables import LIVE, interactions, runs, threads
from chatorch.domain.model.identity import GUEST
from chatorch.ports.guests import GuestThreadStore

LOOKED_AT = 1000
"""Of so many of the oldest are those taken that are due: a guest's id begins with its time, so the index has them in
order, and the many that are not due cost nothing. Only few of the oldest can be live, for a run does not last."""

# The character behind "_" ends the range of all ids that begin so; the collation compares by code point.
_OF_GUESTS = and_(threads.c.owner_id >= f"{GUEST}_", threads.c.owner_id < f"{GUEST}`")
_BY_AGE = select(threads.c.id, threads.c.owner_id, threads.c.updated_at).where(_OF_GUESTS).order_by(threads.c.owner_id)
_OLDEST = _BY_AGE.limit(LOOKED_AT).subquery()
_IS_LIVE = exists().where(runs.c.thread_id == _OLDEST.c.id, LIVE)
_IS_DUE = and_(_OLDEST.c.updated_at < bindparam("before", type_=UtcTime), ~_IS_LIVE)
_DUE = select(_OLDEST.c.id).where(_IS_DUE).limit(bindparam("most"))
# NULL where there are not so many, and then nothing is over.
_NEWEST_OVER = (
    select(threads.c.owner_id)
    .where(_OF_GUESTS)
    .order_by(threads.c.owner_id.desc())
    .offset(bindparam("keep"))
    .limit(1)
    .scalar_subquery()
)
_OVER = select(_OLDEST.c.id).where(_OLDEST.c.owner_id <= _NEWEST_OVER, ~_IS_LIVE).limit(bindparam("most"))
# Rows that another process holds are its own to remove: nobody waits.
_HOLD = select(threads.c.id).where(threads.c.id.in_(bindparam("ids", expanding=True))).with_for_update(skip_locked=True)
_RUNS = select(runs.c.id).where(runs.c.thread_id.in_(bindparam("ids", expanding=True)))
_FORGET_RECORDS = delete(interactions).where(interactions.c.run_id.in_(_RUNS))
_FORGET = delete(threads).where(threads.c.id.in_(bindparam("ids", expanding=True)))


class SqlGuestThreadStore(GuestThreadStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, before: datetime, limit: int) -> int:
        return await self._remove(_DUE, {"before": before, "most": limit})

    async def shed(self, keep: int, limit: int) -> int:
        return await self._remove(_OVER, {"keep": keep, "most": limit}, records=True)

    async def _remove(self, which: Select[Any], values: dict[str, object], *, records: bool = False) -> int:
        """Nearly always there is nothing to do, and so nothing to lock."""
        ids = await self._database.read(lambda connection: connection.execute(which, values).scalars().all())
        if not ids:
            return 0
        return await self._database.write(lambda connection: _forget(connection, list(ids), records))


def _forget(connection: Connection, ids: list[str], records: bool) -> int:
    """What is in a thread goes with it (ON DELETE CASCADE). One that has ended stays so: a guest has one turn."""
    held = list(connection.execute(_HOLD, {"ids": ids}).scalars())
    if not held:
        return 0
    if records:
        connection.execute(_FORGET_RECORDS, {"ids": held})
    return connection.execute(_FORGET, {"ids": held}).rowcount
