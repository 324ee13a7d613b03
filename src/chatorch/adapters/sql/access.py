"""What several transactions begin with: locks, and whose thread it is.

Locks are PostgreSQL's only; an SQLite transaction that writes is alone anyway. They are taken in one order
everywhere, so that no two transactions wait for each other: owner, runs by id, messages, threads by id.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, case, func, literal, select, update

from chatorch.adapters.sql.columns import KEY_TEXT, UtcTime
from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.tables import LIVE, runs, threads
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import NotFound
from chatorch.domain.model.identity import UserId

_OWNERS = 0x63686174
"""Keeps these advisory locks apart from others in the same database: "chat"."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

_LOCK_OWNER = Compiled(
    select(
        func.pg_advisory_xact_lock(
            literal(_OWNERS, Integer), func.hashtext(bindparam("owner_id", type_=KEY_TEXT))
        ).label("locked")
    )
)
_MINE = (threads.c.id == bindparam("thread_id"), threads.c.owner_id == bindparam("owner_id"))
_FIND_THREAD = Compiled(select(threads.c.id).where(*_MINE))
_LOCK_THREAD = Compiled(select(threads.c.id).where(*_MINE).with_for_update())
_LIVE_RUNS = Compiled(select(runs.c.id, runs.c.thread_id).where(runs.c.owner_id == bindparam("owner_id"), LIVE))

LATER = bindparam("now", type_=UtcTime)
FORWARD = case((threads.c.updated_at < LATER, LATER), else_=threads.c.updated_at)
"""The new `updated_at` of a thread: `now`, but never earlier than it was."""

_TOUCH_THREAD = Compiled(update(threads).where(threads.c.id == bindparam("thread_id")).values(updated_at=FORWARD))


def require_sane(*ids: str) -> None:
    """Raises `NotFound` for an id that cannot be one: PostgreSQL takes neither NUL nor a lone surrogate in a text."""
    if not all(id_.isascii() and "\0" not in id_ for id_ in ids):
        raise NotFound


def lock_owner(connection: Connection, owner_id: UserId) -> None:
    """Lets one transaction at a time open or delete what this owner has, so that caps and keys hold."""
    if connection.dialect.name == "postgresql":
        _LOCK_OWNER.rows(connection, {"owner_id": owner_id})


def owner_lock(owner_id: str) -> str | None:
    """What `lock_owner` executes, as text; None for an owner whose id would have to be quoted."""
    if not _PLAIN.fullmatch(owner_id):
        return None
    return f"SELECT pg_advisory_xact_lock({_OWNERS}, hashtext('{owner_id}'))"


def require_thread(connection: Connection, owner_id: UserId, thread_id: ThreadId, *, lock: bool = False) -> None:
    """Raises `NotFound` unless the owner has this thread."""
    require_sane(thread_id)
    statement = _LOCK_THREAD if lock else _FIND_THREAD
    if not statement.rows(connection, {"thread_id": thread_id, "owner_id": owner_id}):
        raise NotFound


def live_runs_of(connection: Connection, owner_id: UserId) -> Sequence[Any]:
    """`id` and `thread_id` of the owner's live runs: a handful, as their number is capped."""
    return _LIVE_RUNS.rows(connection, {"owner_id": owner_id})


def touch_threads(connection: Connection, thread_ids: list[ThreadId], now: datetime) -> None:
    """Moves `updated_at` forward."""
    values = [{"thread_id": thread_id, "now": now} for thread_id in sorted(thread_ids)]
    if len(values) == 1:
        _TOUCH_THREAD.run(connection, values[0])
    elif values:
        _TOUCH_THREAD.run_many(connection, values)
