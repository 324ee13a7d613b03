"""Going back to an earlier revision of the schema, and saying first what that takes away."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, inspect, select, table

from chatorch.adapters.sql import schema
from chatorch.adapters.sql.lock import StoreLocked
from chatorch.adapters.sql.urls import open_lock, parse_url

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory

    from chatorch.adapters.sql.database import Database

_NO_TABLES = "The database has no tables yet."


class DowngradeRefused(Exception):
    """The schema is as it was. Its text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Which revision the database has, None without tables, and which one this version needs."""

    revision: str | None
    head: str


@dataclass(frozen=True, slots=True)
class Downgrade:
    """`lost` names what it drops, with how many rows that has; `notes` say what is saved, one for a step."""

    revision: str
    target: str
    lost: tuple[str, ...]
    notes: tuple[str, ...]


class _OnlyTried(Exception):
    """Makes a transaction be rolled back."""

    def __init__(self, found: Downgrade) -> None:
        self.found = found


async def known_revisions(database: "Database", url: str) -> Revisions:
    """Of the database that `url` names. Raises `SchemaMismatch` for a revision that this version does not know."""
    if _is_missing(url):
        return Revisions(None, schema.head())
    return await database.read(_revisions)


async def downgrade(database: "Database", url: str, to: str | None = None, *, really: bool = False) -> Downgrade:
    """Takes the schema back to revision `to`, or by one step, and tells what went with it.

    Unless `really`, it is done, looked at, and undone. All of it is one transaction, under the lock on the store: who
    serves would meet a schema that is not theirs. Raises `DowngradeRefused`, and `SchemaMismatch`.
    """
    if _is_missing(url):
        raise DowngradeRefused(_NO_TABLES)
    lock = open_lock(url)
    try:
        await lock.acquire()
    except StoreLocked:
        raise DowngradeRefused("A chatorch server runs on this database: stop all of them first.") from None
    try:
        return await database.alter(lambda connection: _go_down(connection, to, really))
    except _OnlyTried as tried:
        return tried.found
    finally:
        await lock.release()


def _is_missing(url: str) -> bool:
    """A file that is not there would be made by looking into it."""
    path = parse_url(url)
    return isinstance(path, Path) and not path.exists()


def _revisions(connection: Connection) -> Revisions:
    return Revisions(schema.known_revision(connection), schema.head())


def _go_down(connection: Connection, to: str | None, really: bool) -> Downgrade:
    revision = schema.known_revision(connection)
    if revision is None:
        raise DowngradeRefused(_NO_TABLES)
    steps = _steps(schema.script(), revision, to)
    before = _columns(connection)
    rows = {name: _rows(connection, name) for name in before}
    target = str(steps[-1].down_revision)
    schema.downgrade(connection, target)
    lost = tuple(_lost(before, _columns(connection), rows))
    notes = tuple(note for step in steps if (note := getattr(step.module, "GOING_BACK", None)))
    found = Downgrade(revision, target, lost, notes)
    if not really:
        raise _OnlyTried(found)
    return found


def _steps(script: "ScriptDirectory", revision: str, to: str | None) -> "list[Script]":
    """Those to undo, in that order."""
    steps = list(script.iterate_revisions(revision, "base"))
    below = [str(step.down_revision) for step in steps if step.down_revision is not None]
    if not below:
        raise DowngradeRefused(f"There is nothing before revision {revision}.")
    target = below[0] if to is None else to
    if target not in below:
        raise DowngradeRefused(f"The database is at revision {revision}; before it come {', '.join(below)}.")
    return steps[: below.index(target) + 1]


def _columns(connection: Connection) -> dict[str, set[str]]:
    inspector = inspect(connection)
    return {name: {column["name"] for column in inspector.get_columns(name)} for name in inspector.get_table_names()}


def _rows(connection: Connection, name: str) -> int:
    return int(connection.execute(select(func.count()).select_from(table(name))).scalar_one())


def _lost(before: dict[str, set[str]], after: dict[str, set[str]], rows: dict[str, int]) -> list[str]:
    gone = [f"table {name} ({rows[name]} rows)" for name in before if name not in after]
    cut = [
        f"column {name}.{column} ({rows[name]} rows)"
        for name in before
        if name in after
        for column in sorted(before[name] - after[name])
    ]
    return gone + cut
