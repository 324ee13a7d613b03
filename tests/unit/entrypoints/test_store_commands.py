"""``chatorch backup`` and ``chatorch migrate``, against a real SQLite file."""

import asyncio
import os
import signal
import sqlite3

import pytest
from typer.testing import CliRunner, Result

from chatorch.adapters.sql import open_lock, schema
from chatorch.entrypoints.cli import app
from chatorch.entrypoints.process.stopping import SIGNALS


@pytest.fixture(autouse=True)
def _own_folder_and_settings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("CHATORCH_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name in ("DATABASE_URL", "REDIS_URL", "DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRET_KEY", "s" * 32)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.db.lock").touch()


@pytest.fixture(autouse=True)
def _own_signals():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def database(tmp_path):
    assert chatorch("migrate").stdout == "The database is up to date.\n"
    return tmp_path / "chat.db"


def chatorch(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> str:
    """The one line that a command was refused with."""
    result = chatorch(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    return line


def test_a_backup_says_what_is_in_it(database, tmp_path):
    result = chatorch("backup", "copy")
    size = (tmp_path / "copy").stat().st_size
    told = f"Wrote {tmp_path}/copy: 0 messages, {size} bytes, revision {schema.head()}; checked.\n"
    assert (result.exit_code, result.stdout) == (0, told)


def test_a_backup_overwrites_by_force_only(database):
    chatorch("backup", "copy")
    assert refusal("backup", "copy").endswith("/copy is there already; --force replaces it.")
    assert chatorch("backup", "--force", "copy").exit_code == 0


def test_a_backup_of_nothing_is_refused_and_makes_nothing(tmp_path):
    assert refusal("backup", "copy").startswith("chatorch: There is no database at ")
    assert {path.name for path in tmp_path.iterdir()} == {"chat.db.lock"}


def test_a_backup_of_postgresql_is_left_to_pg_dump(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:canary@127.0.0.1:1/chat")
    line = refusal("backup", "copy")
    assert line.endswith('pg_dump --format=custom --no-owner --file=FILE "$DATABASE_URL"')
    assert "canary" not in line


def test_the_status_is_told_also_by_the_exit_status(database):
    head = schema.head()
    same = chatorch("migrate", "--status")
    assert (same.exit_code, same.stdout) == (0, f"The database is at revision {head}; this chatorch needs {head}.\n")
    chatorch("migrate", "--down", "--to", "0003", "--yes")
    behind = chatorch("migrate", "--status")
    assert (behind.exit_code, behind.stdout.split("; ")[0]) == (1, "The database is at revision 0003")


def test_going_down_is_tried_first_and_done_when_it_is_confirmed(database):
    tried = chatorch("migrate", "--down", "--to", "0003")
    assert tried.exit_code == 1
    assert "was tried and undone. Back it up, then repeat with --yes." in tried.stdout
    assert "  drops table sweeps (0 rows)\n" in tried.stdout
    assert chatorch("migrate", "--status").exit_code == 0

    done = chatorch("migrate", "--down", "--to", "0003", "--yes")
    assert (done.exit_code, "was taken back to 0003." in done.stdout) == (0, True)
    assert "  dropped table sweeps (0 rows)\n" in done.stdout
    assert chatorch("migrate").exit_code == 0
    assert chatorch("migrate", "--status").exit_code == 0


def test_going_down_is_refused_while_a_server_runs(database):
    lock = open_lock(f"sqlite:///{database}")

    async def with_a_server() -> str:
        await lock.acquire()
        try:
            return await asyncio.to_thread(refusal, "migrate", "--down", "--yes")
        finally:
            await lock.release()

    told = asyncio.run(with_a_server())
    assert told == "chatorch: A chatorch server runs on this database: stop all of them first."


def test_a_later_version_s_schema_is_one_line_that_says_what_to_do(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (("migrate",), ("migrate", "--status"), ("migrate", "--down"), ("users", "list")):
        assert refusal(*command) == (
            "chatorch: The database is at revision 9999, which this chatorch does not know: upgrade chatorch, or go "
            f"back with the later one's `chatorch migrate --down --to {schema.head()}`."
        )


@pytest.mark.parametrize("options", [("--to", "0001"), ("--yes",), ("--status", "--down")])
def test_options_that_do_not_go_together_are_refused(options):
    assert " with" in refusal("migrate", *options)
