"""Which rights on the tables the role of `DATABASE_URL` lacks, before somebody's request does."""

from sqlalchemy import Connection, bindparam, text

from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.tables import metadata

NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")

_LACKING = text(
    "SELECT t, r FROM unnest(CAST(:tables AS text[])) AS t, unnest(CAST(:rights AS text[])) AS r"
    " WHERE NOT has_table_privilege(quote_ident(t), r) ORDER BY t, r"
).bindparams(bindparam("rights", NEEDED))


async def lacking_rights(database: Database) -> tuple[str, ...]:
    """Such as ``UPDATE on users``. On SQLite the file's rights are the only ones, and `Database.ping` tries those."""
    return await database.read(_lacking)


def _lacking(connection: Connection) -> tuple[str, ...]:
    if connection.dialect.name != "postgresql":
        return ()
    rows = connection.execute(_LACKING, {"tables": sorted(metadata.tables)})
    return tuple(f"{right} on {table}" for table, right in rows)
