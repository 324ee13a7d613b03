"""Which revision of the schema a database has, and how it gets to ours. The steps are in `migrations`.

They stand in one line, each in a file that is named for its revision. To know which there are, and which the database
has, nothing of Alembic is needed, nor to make the tables of a new SQLite file: a server that has nothing to change
does without it.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, func, inspect, literal, select
from sqlalchemy.exc import DBAPIError

from chatorch.adapters.sql.causes import cause_of
from chatorch.adapters.sql.errors import is_outage
from chatorch.adapters.sql.tables import metadata

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

    from chatorch.adapters.sql.database import Database

_MIGRATING = 0x63686174_6D696772
"""The key of the advisory lock that two processes migrating at once queue for: "chatmigr"."""

ANOTHERS = "The table alembic_version is another application's."
OWN_DATABASE = "Give chatorch a database of its own."
_OURS = re.compile("[0-9]{4}")
_STEP = re.compile(r"v([0-9]{4})_\w+\.py")
_STEPS = Path(__file__).parent / "migrations" / "versions"
_VERSION = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)
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
    revision = known_revision(connection)
    if revision != head():
        try:
            if revision is None and connection.dialect.name == "sqlite":
                _make_all(connection)
            else:
                _go_up(connection)
        except DBAPIError as error:
            if is_outage(error):
                raise
            raise SchemaMismatch(f"The tables of chatorch cannot be made here. {_why(error)}") from error


def _go_up(connection: Connection) -> None:
    from chatorch.adapters.sql.migration_steps import go_up  # noqa: PLC0415  # large, and seldom needed

    go_up(connection)


def _make_all(connection: Connection) -> None:
    """As all steps would: at once, in a tenth of the time."""
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(_VERSION.insert().values(version_num=head()))


def downgrade(connection: Connection, revision: str) -> None:
    """Undoes steps, and with them their data, down to a revision; ``base`` leaves nothing."""
    from chatorch.adapters.sql.migration_steps import go_down  # noqa: PLC0415  # large, and seldom needed

    _queue(connection)
    go_down(connection, revision)


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


def script() -> "ScriptDirectory":
    """The steps that this version knows, read once."""
    from chatorch.adapters.sql import migration_steps  # noqa: PLC0415  # large, and seldom needed

    return migration_steps.script()


@cache
def revisions() -> tuple[str, ...]:
    """Those that this version knows, the first one first."""
    return tuple(sorted(found[1] for path in _STEPS.iterdir() if (found := _STEP.fullmatch(path.name))))


def head() -> str:
    """The revision that this version needs."""
    return revisions()[-1]


def known_revision(connection: Connection) -> str | None:
    """The database's, None without tables. Raises `SchemaMismatch` for one of a later version."""
    try:
        there = inspect(connection).has_table(_VERSION.name)
        found: list[object] = list(connection.scalars(select(_VERSION.c.version_num))) if there else []
    except DBAPIError as error:
        if is_outage(error):
            raise
        raise SchemaMismatch(f"{ANOTHERS} {OWN_DATABASE}") from error
    if not found:
        return None
    [revision, *others] = map(str, found)
    if others or not _OURS.fullmatch(revision):
        raise SchemaMismatch(f"{ANOTHERS} {OWN_DATABASE}")
    if revision not in revisions():
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this chatorch does not know: upgrade chatorch, or go back "
            f"with the later one's `chatorch migrate --down --to {head()}`."
        )
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
