"""What a run has used before it has ended, in the columns that have its usage then."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, update

from chatorch.adapters.sql.outcomes import USAGE, usage_values
from chatorch.adapters.sql.tables import runs
from chatorch.domain.model.conversation import RunId, Usage

_SPEND = update(runs).where(runs.c.id == bindparam("run_id")).values({name: bindparam(f"new_{name}") for name in USAGE})


def spend(connection: Connection, used: Mapping[RunId, Usage]) -> None:
    rows = ((run_id, usage_values(usage)) for run_id, usage in used.items())
    values = [{"run_id": run_id, **{f"new_{name}": value for name, value in row.items()}} for run_id, row in rows]
    if values:
        connection.execute(_SPEND, values)
