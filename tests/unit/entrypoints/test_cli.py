"""What an operator does from a terminal, against a real SQLite file."""

import os
import re
import socket
import stat
import subprocess
import sys
import unicodedata

import pytest
from typer.testing import CliRunner, Result

from chatorch import __version__
from chatorch.entrypoints.cli import app
from chatorch.entrypoints.load_settings import load_settings
from chatorch.entrypoints.settings import PREFIX
from tests.support.server import BINARY

SECRET = "s" * 32
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _own_folder_and_settings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith((PREFIX, "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name in ("DATABASE_URL", "REDIS_URL", "DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.chdir(tmp_path)


def chatorch(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


def refusal(*arguments: str, stdin: str = "") -> str:
    """The one line that a command was refused with."""
    result = chatorch(*arguments, stdin=stdin)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    return line


def test_the_version_is_told():
    assert chatorch("--version").stdout == f"chatorch {__version__}\n"


def test_init_writes_a_secret_for_its_owner_only(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY")
    result = chatorch("init")
    assert result.exit_code == 0
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    secret = load_settings().secret_key.get_secret_value()
    assert len(secret) >= 32
    assert secret not in result.output


def test_init_never_overwrites_and_says_so(tmp_path):
    mine = f"SECRET_KEY={SECRET}\nDEBUG=true"
    (tmp_path / ".env").write_text(mine)
    result = chatorch("init")
    assert result.exit_code == 0
    assert "nothing was changed" in result.stdout
    assert (tmp_path / ".env").read_text() == mine


@pytest.mark.parametrize("mine", ["DEBUG=true", "SECRET_KEY=\nDEBUG=true\n"])
def test_init_adds_a_key_where_the_file_has_none(monkeypatch, tmp_path, mine):
    monkeypatch.delenv("SECRET_KEY")
    (tmp_path / ".env").write_text(mine)
    result = chatorch("init")
    assert (result.exit_code, "was added" in result.stdout) == (0, True)
    assert (tmp_path / ".env").read_text().startswith(mine)
    assert load_settings().debug
    assert "nothing was changed" in chatorch("init").stdout


def test_init_says_what_keeps_it_from_writing(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff")
    assert refusal("init").endswith("/.env: cannot be written (it is not UTF-8 text)")


def test_init_makes_a_file_that_a_link_leads_to_its_owners_only(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY")
    (tmp_path / ".env").symlink_to(tmp_path / "kept")
    assert chatorch("init").exit_code == 0
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["init", "migrate", "serve"])
def test_a_folder_that_was_removed_is_one_line(monkeypatch, tmp_path, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    line = refusal(command)
    assert "cannot be written" in line or "does not exist" in line


def test_two_inits_make_two_secrets(tmp_path):
    secrets = set()
    for _ in range(2):
        chatorch("init")
        secrets.add(re.search("SECRET_KEY=(.+)", (tmp_path / ".env").read_text())[1])
        (tmp_path / ".env").unlink()
    assert len(secrets) == 2


def test_wrong_settings_take_a_line_each(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "short-canary")
    monkeypatch.setenv("CHATORCH_LEASE_S", "never")
    result = chatorch("serve")
    assert result.exit_code == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["SECRET_KEY", "CHATORCH_LEASE_S"]
    assert "canary" not in result.output


def test_a_user_is_added_listed_disabled_enabled_and_given_a_password():
    added = chatorch("users", "add", "ADA", "--password-stdin", stdin=PASSWORD + "\n")
    assert (added.exit_code, added.stdout.startswith("Added ada (usr_")) == (0, True)
    assert chatorch("users", "add", "root", "--admin", "--password-stdin", stdin=PASSWORD).exit_code == 0

    ada, root = (line.split("\t") for line in chatorch("users", "list").stdout.splitlines())
    assert (ada[0], ada[2], ada[3]) == ("ada", "chat", "enabled")
    assert (root[0], root[2], root[3]) == ("root", "chat admin", "enabled")

    assert chatorch("users", "disable", "ada").stdout == "Disabled ada.\n"
    assert chatorch("users", "list").stdout.splitlines()[0].endswith("\tdisabled")
    assert chatorch("users", "enable", "ada").stdout == "Enabled ada.\n"
    assert chatorch("users", "set-password", "ada", "--password-stdin", stdin="another horse").exit_code == 0


def test_a_user_may_use_other_tools_than_all_others():
    chatorch("users", "add", "ada", "--no-password")
    assert chatorch("users", "tools", "ada").stdout == "ada may use the usual tools.\n"
    for given, told in (("search, shop__*", "search, shop__*"), ("-", "no tools")):
        assert chatorch("users", "tools", "ada", given).stdout == f"ada may use {told}.\n"
        assert chatorch("users", "tools", "ada").stdout == f"ada may use {told}.\n", "asking changes nothing"
    assert chatorch("users", "list").stdout.rstrip("\n").split("\t")[-1] == "tools: none"
    for wrong in ("king:search", "", "a b", "a!b", "search,"):
        assert refusal("users", "tools", "ada", wrong).startswith("chatorch: tools: must be names of tools")
    assert refusal("users", "tools", "ada", "search", "--usual").startswith("chatorch: tools: must be rules, or")
    assert chatorch("users", "tools", "ada", "--usual").stdout == "ada may use the usual tools.\n"


def test_a_user_may_be_without_a_password_until_one_is_set():
    assert refusal("users", "add", "ada", "--no-password", "--password-stdin", stdin=PASSWORD).startswith(
        "chatorch: --no-password"
    )
    assert chatorch("users", "add", "ada", "--no-password").stdout.startswith("Added ada (usr_")
    assert chatorch("users", "list").stdout.rstrip("\n").split("\t")[2:] == ["chat", "enabled", "no password"]
    chatorch("users", "disable", "ada")
    assert chatorch("users", "list").stdout.rstrip("\n").split("\t")[2:] == ["chat", "disabled", "no password"]
    chatorch("users", "set-password", "ada", "--password-stdin", stdin=PASSWORD)
    assert chatorch("users", "list").stdout.rstrip("\n").split("\t")[2:] == ["chat", "disabled"]
    assert chatorch("users", "set-password", "ada", "--no-password").stdout == "ada has no password.\n"
    assert chatorch("users", "list").stdout.rstrip("\n").split("\t")[2:] == ["chat", "disabled", "no password"]


def test_a_password_is_asked_for_twice_and_not_shown():
    result = chatorch("users", "add", "ada", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output


@pytest.mark.parametrize("command", [("users", "add", "bea"), ("users", "set-password", "ada")])
@pytest.mark.parametrize("password", ["crème brûlée", "ǖ" * 341])
def test_a_password_is_taken_in_any_spelling(command, password):
    chatorch("users", "add", "ada", "--password-stdin", stdin=PASSWORD)
    decomposed = unicodedata.normalize("NFD", password)
    assert chatorch(*command, "--password-stdin", stdin=decomposed + "\r\n").exit_code == 0


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "e\u0301" * 7, "x" * 5000])
def test_a_password_that_will_not_do_is_refused(password):
    line = refusal("users", "add", "ada", "--password-stdin", stdin=password)
    assert line == "chatorch: password: must be 8 to 1024 characters"


def test_a_password_that_is_no_text_is_refused():
    result = CliRunner().invoke(app, ["users", "add", "ada", "--password-stdin"], input=b"\xff\xfe canary")
    assert (result.exit_code, result.stderr) == (2, "chatorch: standard input must be UTF-8 text\n")


def test_a_standard_output_that_is_full_is_one_line():
    done = subprocess.run(["sh", "-c", f"{BINARY} --version >/dev/full"], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, b"chatorch: No space left on device\n")


def test_where_standard_streams_are_closed_nothing_else_takes_their_place():
    script = (
        "import os, sys; from chatorch.entrypoints.process.standard_streams import open_closed_streams as o; o();"
        "sys.exit(os.open('/', os.O_RDONLY) != 3 or None in (sys.stdin, sys.stdout, sys.stderr))"
    )
    command = 'exec "$0" -c "$1" 0<&- 1>&- 2>&-'
    subprocess.run(["sh", "-c", command, sys.executable, script], check=True, timeout=60)


def test_without_a_terminal_it_says_how_else_to_give_a_password():
    command = [BINARY, "users", "add", "ada"]
    given = {"stdin": subprocess.DEVNULL, "capture_output": True, "start_new_session": True, "timeout": 60}
    done = subprocess.run(command, check=False, **given)
    line = b"chatorch: there is no terminal to ask for the password; use --password-stdin\n"
    assert (done.returncode, done.stderr) == (2, line)


def test_a_name_that_is_taken_is_refused():
    chatorch("users", "add", "ada", "--password-stdin", stdin=PASSWORD)
    assert refusal("users", "add", "Ada", "--password-stdin", stdin=PASSWORD).startswith(
        "chatorch: This user name exists"
    )


def test_an_unknown_user_is_refused():
    assert refusal("users", "disable", "nobody") == "chatorch: There is no user of this name."


def test_migrate_makes_the_database_and_may_be_repeated(tmp_path):
    for _ in range(2):
        result = chatorch("migrate")
        assert (result.exit_code, result.stdout) == (0, "The database is up to date.\n")
    assert (tmp_path / "chat.db").exists()


def test_a_database_that_is_away_is_one_line(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:canary@127.0.0.1:1/chat")
    line = refusal("users", "list")
    assert line.startswith("chatorch: ")
    assert "canary" not in line


def test_an_address_that_is_no_database_is_one_line(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/at/all/chat.db")
    assert refusal("serve").startswith("chatorch: DATABASE_URL")


@pytest.mark.parametrize("mode", ["-1", "7777", "999", "0", "0o660", "rw"])
def test_a_mode_of_a_socket_is_three_digits(mode):
    assert refusal("serve", "--uds", "s", "--uds-mode", mode) == "chatorch: --uds-mode: must be octal, such as 660"


def test_several_workers_need_redis():
    assert refusal("serve", "--workers", "2").startswith("chatorch: --workers: more than one needs REDIS_URL")


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal("serve", "--port", str(port)) == (
            f"chatorch: 127.0.0.1:{port} is in use already; choose another --port"
        )


def test_an_address_of_another_machine_is_one_line():
    assert "is no address of this machine" in refusal("serve", "--host", "192.0.2.1", "--port", "0")
