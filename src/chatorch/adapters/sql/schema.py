"""Which revision of the schema a database has, and how it gets to ours. The steps are in `migrations`."""

from functools import cache
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import BigInteger, Connection, func, literal, select

if TYPE_CHECKING:
    from chatorch.adapters.sql.database import Database

_MIGRATING = 0x63686174_6D696772
"""The key of the advisory lock that two processes migrating at once queue for: "chatmigr"."""

NO_TABLES = "The database has no tables yet: run `chatorch migrate`."


class SchemaMismatch(Exception):
    """The schema is not the one that this version needs. Its text is one line that says what to do."""


async def migrate(database: "Database") -> None:
    """Brings the schema to this version's. Raises `SchemaMismatch` where it is a later version's already."""
    await database.alter(upgrade)


def upgrade(connection: Connection) -> None:
    """Runs all steps that are missing, in the connection's transaction."""
    _queue(connection)
    if known_revision(connection) != head():
        command.upgrade(_config(connection), "head")


def downgrade(connection: Connection, revision: str) -> None:
    """Undoes steps, and with them their data, down to a revision; ``base`` leaves nothing."""
    _queue(connection)
    command.downgrade(_config(connection), revision)


def check(connection: Connection) -> None:
    """Raises `SchemaMismatch` unless the schema is exactly this version's."""
    if problem := mismatch(known_revision(connection), head()):
        raise SchemaMismatch(problem)


def mismatch(revision: str | None, needed: str) -> str | None:
    """What to tell an operator whose database is at a revision that we know; None where it is the one `needed`."""
    if revision == needed:
        return None
    if revision is None:
        return NO_TABLES
    return f"The database is at revision {revision} and this chatorch needs {needed}: run `chatorch migrate`."


@cache
def script() -> ScriptDirectory:
    """The steps that this version knows, read once."""
    return ScriptDirectory.from_config(_config())


def head() -> str:
    """The revision that this version needs."""
    return script().get_current_head() or ""


def known_revision(connection: Connection) -> str | None:
    """The database's, None without tables. Raises `SchemaMismatch` for one of a later version."""
    revision = MigrationContext.configure(connection).get_current_revision()
    try:
        if revision is not None:
            script().get_revision(revision)
    except CommandError:
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this chatorch does not know: upgrade chatorch, or go back "
            f"with the later one's `chatorch migrate --down --to {head()}`."
        ) from None
    return revision


def _queue(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(literal(_MIGRATING, BigInteger))))


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "chatorch.adapters.sql:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
