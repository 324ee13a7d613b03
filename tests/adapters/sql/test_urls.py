"""What DATABASE_URL may say."""

from pathlib import Path

import pytest

from chatorch.adapters.sql import open_database, open_lock
from chatorch.adapters.sql.lock_file import SqliteLock
from chatorch.adapters.sql.lock_postgres import PostgresLock
from chatorch.adapters.sql.postgres import PostgresDatabase
from chatorch.adapters.sql.sqlite import SqliteDatabase
from chatorch.adapters.sql.urls import parse_url
from tests.support.postgres import Databases, PostgresServer


async def test_a_relative_path_begins_after_three_slashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert parse_url("sqlite:///./chat.db") == tmp_path / "chat.db"
    assert parse_url("sqlite:///chat.db") == tmp_path / "chat.db"


async def test_an_sqlite_url_opens_sqlite_and_its_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"

    database = open_database(url)

    assert isinstance(database, SqliteDatabase)
    assert isinstance(open_lock(url), SqliteLock)
    assert not (tmp_path / "chat.db").exists(), "nothing is touched before it is used"
    await database.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_every_spelling_of_postgresql_opens_it_and_its_lock(scheme: str) -> None:
    url = f"{scheme}://me:secret@db.example:5433/chat?sslmode=require"

    database = open_database(url, pool_size=7)

    assert isinstance(database, PostgresDatabase)
    assert isinstance(open_lock(url), PostgresLock)
    assert (database.size(), database.in_use()) == (7, 0)
    await database.close()


async def test_a_unix_socket_is_named_by_host(postgres_server: PostgresServer, own_postgres: Databases) -> None:
    name = (await own_postgres.fresh()).rsplit("/", 1)[1]
    url = f"postgresql://chatorch@/{name}?host={postgres_server.socket_folder}&port={postgres_server.port}"

    database, lock = open_database(url), open_lock(url)

    await database.start()
    await database.close()
    await lock.acquire()
    await lock.release()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "not a database URL"),
        ("chat.db", "not a database URL"),
        ("mysql://me:hunter2@db/chat", "mysql"),
        ("postgresql+psycopg://me:hunter2@db/chat", "postgresql+psycopg"),
        ("sqlite+aiosqlite:///chat.db", "sqlite+aiosqlite"),
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("sqlite:///file:chat?mode=memory&uri=true", "parameter"),
        ("sqlite:///file::memory:", "in-memory"),
        ("sqlite://chat.db", "three slashes"),
        ("sqlite:////no/such/folder/chat.db", "/no/such/folder does not exist"),
        ("sqlite:////", "folder"),
        ("sqlite:////dev/null", "device"),
        ("postgresql://me:hunter2@a..b/chat", "'host' must be a name"),
        (f"postgresql://me:hunter2@{'a' * 70}/chat", "'host' must be a name"),
        (f"postgresql://me:hunter2@/chat?host=/{'x' * 100}", "'host' must be a name"),
        ("postgresql://me:hunter2@db/ch%00at", "'dbname' must be UTF-8 text without NUL"),
        ("postgresql://me:hunter2%00@db/chat", "'password' must be UTF-8 text without NUL"),
        ("postgresql://me:hunter2@db\udcff/chat", "'host' must be UTF-8 text without NUL"),
        ("postgresql://me:hunter2@db", "names no database"),
        ("postgresql://me:hunter2@db:port/chat", "not a database URL"),
        ("postgresql://me:hunter2@db/chat?pasword=hunter2", "'pasword'"),
    ],
)
async def test_anything_else_is_refused_with_one_line_that_names_the_setting(url: str, problem: str) -> None:
    for opening in (open_database, open_lock):
        with pytest.raises(ValueError) as refused:
            opening(url)

        text = str(refused.value)
        assert "DATABASE_URL" in text
        assert problem in text
        assert "\n" not in text
        assert "hunter2" not in text
        assert refused.value.__cause__ is None


def test_a_path_that_cannot_be_looked_at_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for path in (tmp_path / "one", tmp_path / "one" / "x.db", tmp_path / ("x" * 300), Path("/dev/null")):
        with pytest.raises(ValueError, match=r"^DATABASE_URL: [^\n]+$"):
            parse_url(f"sqlite:///{path}")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ValueError, match="does not exist"):
        parse_url("sqlite:///x.db")


def test_a_file_has_one_lock_by_whichever_name_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file.db").symlink_to(tmp_path / "real" / "a.db")

    names = ("real/a.db", "link/a.db", "file.db")

    assert len({parse_url(f"sqlite:///{tmp_path}/{name}") for name in names}) == 1


def test_a_file_that_cannot_be_looked_at_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "chat.db"):
        with pytest.raises(ValueError, match=r"^DATABASE_URL: .*(cannot be looked at|does not exist)"):
            parse_url(f"sqlite:///{path}")
