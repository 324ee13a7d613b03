"""Which revision of the schema a database has, and how it gets to ours. The steps are in `migrations`."""

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


class SchemaMismatch(Exception):
    """The schema is not the one that this version needs. Its text is one line that says what to do."""


async def migrate(database: "Database") -> None:
    """Brings the schema to this version's. Raises `SchemaMismatch` where it is a later version's already."""
    await database.alter(upgrade)


def upgrade(connection: Connection) -> None:
    """Runs all steps that are missing, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(literal(_MIGRATING, BigInteger))))
    config = _config(connection)
    revision = _revision(connection)
    _refuse_unknown(config, revision)
    if revision != _head(config):
        command.upgrade(config, "head")


def downgrade(connection: Connection, revision: str) -> None:
    """Undoes steps, and with them their data, down to a revision; ``base`` leaves nothing."""
    command.downgrade(_config(connection), revision)


def check(connection: Connection) -> None:
    """Raises `SchemaMismatch` unless the schema is exactly this version's."""
    config = _config(connection)
    revision = _revision(connection)
    _refuse_unknown(config, revision)
    if problem := mismatch(revision, _head(config)):
        raise SchemaMismatch(problem)


def mismatch(revision: str | None, head: str | None) -> str | None:
    """What to tell an operator whose database is at a revision that we know; None where it is at `head`."""
    if revision == head:
        return None
    if revision is None:
        return "The database has no tables yet: run `chatorch migrate`."
    return f"The database is at revision {revision} and this chatorch needs {head}: run `chatorch migrate`."


def _refuse_unknown(config: Config, revision: str | None) -> None:
    if revision is None:
        return
    try:
        ScriptDirectory.from_config(config).get_revision(revision)
    except CommandError:
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this chatorch does not know: upgrade chatorch."
        ) from None


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "chatorch.adapters.sql:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
