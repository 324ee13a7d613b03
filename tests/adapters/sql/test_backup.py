"""A copy of a database that is in use."""

import os
import resource
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from chatorch.adapters.sql import back_up, open_database, schema
from chatorch.adapters.sql.backup import BackupRefused
from tests.support.sizes import size
from tests.support.stores import new_run, sql_stores, turn


@pytest.fixture
async def in_use(sqlite_path: Path):
    """A database with a message in its write-ahead log only."""
    database = open_database(f"sqlite:///{sqlite_path}")
    await database.start()
    await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))
    yield sqlite_path
    await database.close()


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def contents(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT id, role FROM messages ORDER BY position").fetchall()
    connection.close()
    return found


def test_it_has_what_a_plain_copy_has_not_and_is_one_file_of_its_owners_only(in_use: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    before = os.umask(0)
    try:
        made = back_up(url_of(in_use), folder / "chat.copy")
    finally:
        os.umask(before)

    assert contents(made.path) == contents(in_use)
    assert len(contents(made.path)) == made.messages == 2
    assert (made.size, stat.S_IMODE(made.path.stat().st_mode)) == (made.path.stat().st_size, 0o600)
    assert [path.name for path in folder.iterdir()] == ["chat.copy"]


def test_it_is_of_one_moment_however_much_is_written_meanwhile(sqlite_path: Path, tmp_path: Path) -> None:
    """Two tables that are always equal, many pages, and a writer that never rests: it neither tears nor begins anew."""
    writer = sqlite3.connect(sqlite_path, isolation_level=None, check_same_thread=False)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.executescript("CREATE TABLE one (n); CREATE TABLE many (n, filling); INSERT INTO one VALUES (0)")
    writer.executemany("INSERT INTO many VALUES (0, ?)", [("x" * 4000,)] * size(1000, 20_000))
    stopped, rounds = threading.Event(), []

    def write() -> None:
        while not stopped.is_set():
            writer.executescript("BEGIN; UPDATE one SET n = n + 1; UPDATE many SET n = n + 1; COMMIT")
            rounds.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while not rounds:
            pass
        already = len(rounds)
        made = back_up(url_of(sqlite_path), tmp_path / "copy")
    finally:
        stopped.set()
        thread.join()
        writer.close()

    copied = sqlite3.connect(made.path)
    [(one,)] = copied.execute("SELECT n FROM one").fetchall()
    assert copied.execute("SELECT DISTINCT n FROM many").fetchall() == [(one,)]
    assert one >= already
    copied.close()


def test_a_file_that_is_there_is_replaced_only_where_that_is_asked_for(in_use: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.write_text("precious")

    with pytest.raises(BackupRefused, match=r"copy is there already; --force replaces it\.$"):
        back_up(url_of(in_use), target)
    assert target.read_text() == "precious"

    back_up(url_of(in_use), target, replace=True)
    assert len(contents(target)) == 2


@pytest.mark.parametrize("name", ["chat", "link", "-wal", "-shm", ".lock"])
def test_the_database_and_what_is_beside_it_are_never_overwritten(in_use: Path, tmp_path: Path, name: str) -> None:
    target = {"chat": in_use, "link": tmp_path / "link"}.get(name, in_use.with_name(in_use.name + name))
    if name == "link":
        target.symlink_to(in_use)
    with pytest.raises(BackupRefused, match="is the database itself"):
        back_up(url_of(in_use), target, replace=True)
    assert len(contents(in_use)) == 2


def test_a_place_that_is_no_file_is_refused(in_use: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target, problem in {
        tmp_path: "is no file",
        tmp_path / "pipe": "is no file",
        Path("/dev/null"): "is no file",
        tmp_path / "nowhere" / "copy": "does not exist",
        tmp_path / ("x" * 300): "cannot be written to",
    }.items():
        with pytest.raises(BackupRefused, match=problem) as refused:
            back_up(url_of(in_use), target, replace=True)
        assert "\n" not in str(refused.value)


def test_a_link_is_replaced_and_what_it_leads_to_stays(in_use: Path, tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "latest"
    kept.write_text("kept")
    link.symlink_to(kept)
    back_up(url_of(in_use), link, replace=True)
    assert (kept.read_text(), link.is_symlink(), len(contents(link))) == ("kept", False, 2)


def test_what_is_no_database_of_chatorch_leaves_nothing_behind(tmp_path: Path) -> None:
    damaged, empty = tmp_path / "damaged", tmp_path / "empty"
    damaged.write_bytes(b"no database at all" * 100)
    sqlite3.connect(empty).close()
    folder = tmp_path / "copies"
    folder.mkdir()
    for source, problem in {
        tmp_path / "nowhere": "There is no database at",
        damaged: "no SQLite database",
        empty: "no tables of chatorch",
    }.items():
        with pytest.raises(BackupRefused, match=problem):
            back_up(url_of(source), folder / "copy")
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_database_is_noticed_and_gives_no_copy(migrated_sqlite: Path, tmp_path: Path) -> None:
    source = tmp_path / "damaged.db"
    pages = bytearray(migrated_sqlite.read_bytes())
    pages[4096 * 3 : 4096 * 3 + 2000] = b"\xff" * 2000
    source.write_bytes(pages)
    with pytest.raises(BackupRefused, match="damaged"):
        back_up(url_of(source), tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


def test_a_disk_that_takes_no_more_is_named_and_leaves_nothing_behind(in_use: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(BackupRefused, match=f"or {folder} takes no more"):
            back_up(url_of(in_use), folder / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


def test_for_postgresql_it_says_what_does_it() -> None:
    with pytest.raises(BackupRefused, match=r"pg_dump --format=custom") as refused:
        back_up("postgresql://ada:canary@localhost/chat", Path("copy"))
    assert "canary" not in str(refused.value)


async def test_one_of_an_earlier_version_is_migrated_at_the_start(in_use: Path, tmp_path: Path) -> None:
    database = open_database(url_of(in_use))
    await database.alter(lambda connection: schema.downgrade(connection, "0001"))
    await database.close()
    made = back_up(url_of(in_use), tmp_path / "copy")
    assert made.revision == "0001"

    restored = open_database(url_of(made.path))
    await restored.start()
    assert len(await sql_stores(restored).execution_store.live_runs()) == 1
    await restored.close()
    assert len(contents(made.path)) == 2
