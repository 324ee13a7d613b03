"""Keys by which a client repeats a request without doing it twice."""

from datetime import timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.rows import SELECT_RUN, to_run
from chatorch.adapters.sql.tables import idempotency_keys as keys
from chatorch.adapters.sql.tables import runs
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused
from chatorch.domain.model.run import Run
from chatorch.ports.runs import NewRun

KEPT_FOR = timedelta(hours=24)

_FORGET = delete(keys).where(
    keys.c.owner_id == bindparam("owner_id"), keys.c.created_at < bindparam("expired", type_=UtcTime)
)
_FIND = select(keys.c.fingerprint, keys.c.run_id).where(
    keys.c.owner_id == bindparam("owner_id"), keys.c.key == bindparam("key")
)
_RUN = SELECT_RUN.where(runs.c.id == bindparam("run_id"))
_REMEMBER = insert(keys)


def find_earlier(connection: Connection, new: NewRun) -> Run | None:
    """The run that the same key opened within 24 h. Raises `IdempotencyKeyReused` where the request was another.

    Forgets the owner's keys that are older.
    """
    if new.idempotency is None:
        return None
    connection.execute(_FORGET, {"owner_id": new.owner_id, "expired": new.now - KEPT_FOR})
    found = connection.execute(_FIND, {"owner_id": new.owner_id, "key": new.idempotency.key}).one_or_none()
    if found is None:
        return None
    if found.fingerprint != new.idempotency.fingerprint:
        raise IdempotencyKeyReused
    return to_run(connection.execute(_RUN, {"run_id": found.run_id}).one())


def remember(connection: Connection, new: NewRun, thread_id: ThreadId) -> None:
    if new.idempotency is None:
        return
    values = {
        "owner_id": new.owner_id,
        "key": new.idempotency.key,
        "fingerprint": new.idempotency.fingerprint,
        "thread_id": thread_id,
        "run_id": new.run_id,
        "created_at": new.now,
    }
    connection.execute(_REMEMBER, values)
