"""A copy of a SQLite file that is being written to.

A plain copy of the file has nothing of what is in the write-ahead log beside it, and a copy of both is torn.
"""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatorch.adapters.sql.causes import cause_of
from chatorch.adapters.sql.urls import parse_url

PAGES_A_STEP = 256
"""A megabyte: whoever wants the copy to stop is heard between two steps."""
BUSY_TIMEOUT = 5.0
PG_DUMP = (
    "DATABASE_URL names a PostgreSQL database, which PostgreSQL's own program copies: "
    'pg_dump --format=custom --no-owner --file=FILE "$DATABASE_URL"'
)


class BackupRefused(Exception):
    """There is no copy, and what stood at its place is untouched. Its text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """`revision` is the schema's, `size` in bytes."""

    path: Path
    revision: str
    messages: int
    size: int


def back_up(url: str, path: Path, *, replace: bool = False) -> Backup:
    """Copies the SQLite database of a `DATABASE_URL` into one file, its owner's only (0600). Raises `BackupRefused`.

    What was committed before it began is in it, and nothing else: it reads one snapshot, which in WAL mode keeps nobody
    from writing. The file is there only when it is whole, on the disk, and was checked. For a process of its own: in
    one that has the database open, see `sqlite._create`.
    """
    source = parse_url(url)
    if not isinstance(source, Path):
        raise BackupRefused(PG_DUMP)
    if not source.exists():
        raise BackupRefused(f"There is no database at {source}.")
    with _words_for(path.parent):
        target = Path(os.path.abspath(path))  # noqa: PTH100  # a link to a file is replaced, not followed
        _require_place(source, target, replace)
        with _unfinished(target.parent) as part:
            revision, messages = _copy(source, part)
            size = part.stat().st_size
            _put_in_place(part, target, replace)
    return Backup(target, revision, messages, size)


def _require_place(source: Path, target: Path, replace: bool) -> None:
    if not target.parent.is_dir():
        raise BackupRefused(f"The folder {target.parent} does not exist.")
    if target.parent.resolve() / target.name in {source.with_name(source.name + end) for end in _PARTS}:
        raise BackupRefused(f"{target} is the database itself, or a part of it.")
    try:
        there = target.stat() if target.exists() else target.lstat()
    except FileNotFoundError:
        return
    if os.path.samestat(there, source.stat()):
        raise BackupRefused(f"{target} is the database itself.")
    if not stat.S_ISREG(there.st_mode) and not target.is_symlink():
        raise BackupRefused(f"{target} is no file.")
    if not replace:
        raise BackupRefused(_is_there(target))


_PARTS = ("", "-wal", "-shm", "-journal", ".lock")


def _is_there(target: Path) -> str:
    return f"{target} is there already; --force replaces it."


@contextmanager
def _words_for(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupRefused(f"The copy cannot be written to {folder} ({error.strerror}).") from None


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """An empty file in it that is gone afterwards, with what SQLite puts beside that."""
    descriptor, name = tempfile.mkstemp(prefix=".chatorch-", suffix=".part", dir=folder)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
    finally:
        for end in _PARTS:
            part.with_name(part.name + end).unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> tuple[str, int]:
    """The revision, and how many messages there are."""
    try:
        with closing(_open(source)) as of, closing(_open(part)) as to:
            to.execute("PRAGMA synchronous = OFF")  # it is put onto the disk once, below
            # In a transaction of the reader's, or each write of the server's would begin the copy anew.
            of.execute("BEGIN")
            counted = _count(of, source)
            of.backup(to, pages=PAGES_A_STEP)
            of.execute("ROLLBACK")
            to.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
            _check(to)
            return counted
    except sqlite3.Error as error:
        raise BackupRefused(f"It cannot be copied. {_why(error, source, part.parent)}") from None


def _why(error: sqlite3.Error, source: Path, folder: Path) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:  # only the copy is written to
            return f"The disk of {folder} is full."
        case sqlite3.SQLITE_IOERR:
            return f"{source} cannot be read, or {folder} takes no more: a disk is broken, or refuses it."
    return cause_of(error) or str(error)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)


def _count(connection: sqlite3.Connection, source: Path) -> tuple[str, int]:
    try:
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall() or [(None,)]
        if revision is not None:
            return revision, connection.execute("SELECT count(*) FROM messages").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # no such table
            raise
    raise BackupRefused(f"{source} has no tables of chatorch.")


def _check(copied: sqlite3.Connection) -> None:
    found = [str(row[0]) for row in copied.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise BackupRefused("The copy is damaged, and so is the database, or the disk; an earlier copy is better.")


def _put_in_place(part: Path, target: Path, replace: bool) -> None:
    _sync(part)
    if replace:
        part.replace(target)
    else:
        try:
            target.hardlink_to(part)
        except FileExistsError:
            raise BackupRefused(_is_there(target)) from None
        except OSError:  # there are file systems without links
            if os.path.lexists(target):
                raise BackupRefused(_is_there(target)) from None
            part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
