"""Which revision of the schema a database has, and how it gets to ours. The steps are in `migrations`."""

import re
from functools import cache
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import BigInteger, Connection, func, literal, select
from sqlalchemy.exc import DBAPIError

from chatorch.adapters.sql.causes import cause_of
from chatorch.adapters.sql.errors import is_outage

if TYPE_CHECKING:
    from chatorch.adapters.sql.database import Database

_MIGRATING = 0x63686174_6D696772
"""The key of the advisory lock that two processes migrating at once queue for: "chatmigr"."""

ANOTHERS = "The table alembic_version is another application's."
OWN_DATABASE = "Give chatorch a database of its own."
_OURS = re.compile("[0-9]{4}")
NO_TABLES = "The database has no tables yet: run `chatorch migrate`."


class SchemaMismatch(Exception):
    """The schema is not the one that this version needs. Its text is one line that says what to do."""


async def migrate(database: "Database") -> None:
    """Brings the schema to this version's. Raises `SchemaMismatch` where it is a later version's already."""
    await database.alter(upgrade)


def upgrade(connection: Connection) -> None:
    """Runs all steps that are missing, in the connection's transaction. Raises `SchemaMismatch` where they do not fit
    what is there."""
    _queue(connection)
    _require_encoding(connection)
    if known_revision(connection) != head():
        try:
            command.upgrade(_config(connection), "head")
        except DBAPIError as error:
            if is_outage(error):
                raise
            raise SchemaMismatch(f"The tables of chatorch cannot be made here. {_why(error)}") from error


def downgrade(connection: Connection, revision: str) -> None:
    """Undoes steps, and with them their data, down to a revision; ``base`` leaves nothing."""
    _queue(connection)
    command.downgrade(_config(connection), revision)


def check(connection: Connection) -> None:
    """Raises `SchemaMismatch` unless the schema is exactly this version's."""
    _require_encoding(connection)
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
    try:
        revision = MigrationContext.configure(connection).get_current_revision()
    except (DBAPIError, CommandError) as error:
        if isinstance(error, DBAPIError) and is_outage(error):
            raise
        raise SchemaMismatch(f"{ANOTHERS} {OWN_DATABASE}") from error
    try:
        if revision is not None:
            script().get_revision(revision)
    except CommandError:
        if not _OURS.fullmatch(revision or ""):
            raise SchemaMismatch(f"{ANOTHERS} {OWN_DATABASE}") from None
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this chatorch does not know: upgrade chatorch, or go back "
            f"with the later one's `chatorch migrate --down --to {head()}`."
        ) from None
    return revision


def _require_encoding(connection: Connection) -> None:
    """Others than UTF-8 lack characters; in SQL_ASCII any bytes are text."""
    if connection.dialect.name == "postgresql":
        encoding = connection.execute(select(func.current_setting("server_encoding"))).scalar_one()
        if encoding not in {"UTF8", "SQL_ASCII"}:
            raise SchemaMismatch(
                f"The encoding of the database is {encoding}, which lacks characters: make one by CREATE DATABASE ... "
                "TEMPLATE template0 ENCODING 'UTF8'."
            )


def _why(error: DBAPIError) -> str:
    """SQLite has one code for all of it, and names what it is about."""
    if found := re.search(r"table \w+ already exists", str(error.orig)):
        return f"There is a {found[0].removesuffix(' already exists')} that it did not make. {OWN_DATABASE}"
    return cause_of(error.driver_exception) or "The database refuses it."


def _queue(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(literal(_MIGRATING, BigInteger))))


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "chatorch.adapters.sql:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
