"""Keys by which a client repeats a request without doing it twice."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.rows import SELECT_RUN, to_run
from chatorch.adapters.sql.tables import idempotency_keys as keys
from chatorch.adapters.sql.tables import runs
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.errors import IdempotencyKeyReused
from chatorch.domain.model.run import Run
from chatorch.ports.runs import KEY_LIFE, NewRun

_THIS = (keys.c.owner_id == bindparam("of_owner"), keys.c.key == bindparam("this_key"))
_FIND = select(keys.c.fingerprint, keys.c.run_id, keys.c.created_at).where(*_THIS)
_FORGET = delete(keys).where(*_THIS)
# Those that somebody else holds are being used again, or forgotten already.
_OLDEST = (
    select(keys.c.owner_id.label("of_owner"), keys.c.key.label("this_key"))
    .where(keys.c.created_at < bindparam("used_before", type_=UtcTime))
    .order_by(keys.c.created_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_ANY = select(keys.c.key).where(keys.c.created_at < bindparam("used_before", type_=UtcTime)).limit(1)
_RUN = SELECT_RUN.where(runs.c.id == bindparam("run_id"))
_REMEMBER = insert(keys)


def find_earlier(connection: Connection, new: NewRun) -> Run | None:
    """The run that the same key opened within 24 h. Raises `IdempotencyKeyReused` where the request was another.

    One that is older is forgotten, so that it may be used again.
    """
    if new.idempotency is None:
        return None
    this = {"of_owner": new.owner_id, "this_key": new.idempotency.key}
    found = connection.execute(_FIND, this).one_or_none()
    if found is None:
        return None
    if new.now - found.created_at > KEY_LIFE:
        connection.execute(_FORGET, this)
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


def forget(connection: Connection, used_before: datetime, limit: int) -> int:
    """See `chatorch.ports.runs.RunStore.forget_keys`."""
    oldest = connection.execute(_OLDEST, {"used_before": used_before, "most": limit}).mappings().all()
    if oldest:
        connection.execute(_FORGET, [dict(key) for key in oldest])
    return len(oldest)


def any_used_before(connection: Connection, used_before: datetime) -> bool:
    return connection.execute(_ANY, {"used_before": used_before}).first() is not None
