"""``chatorch``: everything that an operator does from a terminal. What is expected to go wrong takes one line.

What is slow to import is imported by the commands that need it: ``--help`` shows at once.
"""

import gc
import os
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from chatorch import __version__
from chatorch.domain.model.errors import NotFound
from chatorch.entrypoints.password_input import password_given
from chatorch.entrypoints.process.standard_streams import (
    InputRefused,
    give_up_output,
    open_closed_streams,
    read_input,
    show_all_text,
)
from chatorch.entrypoints.process.stopping import stop_at_once
from chatorch.entrypoints.store_commands import add_store_commands
from chatorch.entrypoints.user_columns import columns_of

if TYPE_CHECKING:
    from chatorch.domain.services.identity.accounts import Accounts
    from chatorch.entrypoints.container import Container
    from chatorch.entrypoints.settings import Settings
    from chatorch.ports.run_lives import RunLife

T = TypeVar("T")

REFUSED = 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A chat backend.",
)
users = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keep the accounts of users.")
app.add_typer(users, name="users")
runs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at runs.")
app.add_typer(runs, name="runs")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user name, in any spelling")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input")]
Without = Annotated[bool, typer.Option("--no-password", help="Without one, for who signs in otherwise")]


def main() -> None:
    gc.disable()  # importing makes much that stays and no garbage: a sixth of the time of a start
    open_closed_streams()
    show_all_text()
    try:
        app()
    except OSError as error:  # a standard output that is full; others are told where they happen
        give_up_output()
        with suppress(OSError):
            typer.echo(f"chatorch: {error.strerror or 'the system refuses it'}", err=True)
        sys.exit(REFUSED)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatorch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """A chat backend: one run, any door, nothing lost."""


@app.command()
def init() -> None:
    """Write .env with a fresh SECRET_KEY. Never overwrites one."""
    from chatorch.entrypoints.env_file import Written, write_env_file  # noqa: PLC0415
    from chatorch.entrypoints.load_settings import ENV_FILE  # noqa: PLC0415

    path = ENV_FILE
    try:
        path = Path.cwd() / ENV_FILE
        written = write_env_file(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        _refuse(f"{path}: cannot be written ({getattr(error, 'strerror', None) or 'it is not UTF-8 text'})")
    match written:
        case Written.NEW:
            typer.echo(f"Wrote {path} with a new SECRET_KEY, readable by you only.")
            typer.echo("Next: chatorch users add NAME, then chatorch serve.")
        case Written.KEY_ADDED:
            typer.echo(f"{path} is there already; a new SECRET_KEY was added at its end.")
        case Written.UNCHANGED:
            typer.echo(f"{path} is there already; nothing was changed.")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one")] = 8000,
    uds: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Listen on a unix socket, in place of a port")
    ] = None,
    uds_mode: Annotated[str, typer.Option(metavar="MODE", help="Who may connect to it, in octal")] = "660",
    fd: Annotated[int | None, typer.Option(min=0, metavar="N", help="Serve a listening socket that is open")] = None,
    root_path: Annotated[str, typer.Option(metavar="/PREFIX", help="Below which a proxy shows the service")] = "",
    workers: Annotated[int, typer.Option(min=1, help="More than one needs REDIS_URL")] = 1,
) -> None:
    """Answer requests until stopped."""
    stop_at_once(0)
    from chatorch.entrypoints.process.lean_imports import import_lean  # noqa: PLC0415

    import_lean()
    from chatorch.entrypoints.process.listening import Endpoint, ServeRefused  # noqa: PLC0415  # slow to import
    from chatorch.entrypoints.process.server import run_server  # noqa: PLC0415

    if not re.fullmatch("0?[0-7]{3}", uds_mode):
        _refuse("--uds-mode: must be octal, such as 660")
    mode = int(uds_mode, 8)
    settings = _settings()
    _open_container(settings)
    try:
        run_server(settings, Endpoint(host, port, uds, mode, fd), workers=workers, root_path=root_path)
    except ServeRefused as error:
        _refuse(str(error))


@app.command()
def doctor(
    url: Annotated[str | None, typer.Option(metavar="URL", help="The public address, to look through it too")] = None,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read a user's token from standard input")] = False,
) -> None:
    """Look at all that the service needs: a line each, ok or what to do. Exit status 1 where something is not."""
    from chatorch.entrypoints.doctor.report import report  # noqa: PLC0415
    from chatorch.entrypoints.load_settings import DOCTOR_TOKEN  # noqa: PLC0415

    token = _input(_line).strip() if token_stdin else os.environ.get(DOCTOR_TOKEN)
    raise typer.Exit(report(url, token or None))


@users.command("add")
def add_user(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="May announce to everyone")] = False,
    password_stdin: FromStdin = False,
    no_password: Without = False,
) -> None:
    """Add an account."""
    password = _password(password_stdin, no_password)
    user = _with_accounts(lambda accounts: accounts.add(name, password, admin))
    typer.echo(f"Added {user.username} ({user.id}).")


@users.command("list")
def list_users() -> None:
    """List all accounts: name, id, scopes, state, and `no password` for who has none."""
    for user in _with_accounts(lambda accounts: accounts.list_all()):
        typer.echo("\t".join(columns_of(user)))


@users.command("disable")
def disable_user(name: Name) -> None:
    """Lock an account out; its tokens stop counting within seconds."""
    user = _with_accounts(lambda accounts: accounts.set_disabled(name, True))
    typer.echo(f"Disabled {user.username}.")


@users.command("enable")
def enable_user(name: Name) -> None:
    """Let a disabled account in again."""
    user = _with_accounts(lambda accounts: accounts.set_disabled(name, False))
    typer.echo(f"Enabled {user.username}.")


@users.command("set-password")
def set_password(name: Name, password_stdin: FromStdin = False, no_password: Without = False) -> None:
    """Give an account a new password, or none any more; tokens issued before stop counting."""
    password = _password(password_stdin, no_password)
    user = _with_accounts(lambda accounts: accounts.set_password(name, password))
    typer.echo(f"{user.username} has {'a new' if password is not None else 'no'} password.")


@users.command("tools")
def set_tools(
    name: Name,
    rules: Annotated[str | None, typer.Argument(metavar="RULES", help="Such as search,github__*; - for none")] = None,
    usual: Annotated[bool, typer.Option("--usual", help="Those that CHATORCH_TOOLS names")] = False,
) -> None:
    """Say which tools an account may use; without RULES, show that."""
    user = _with_accounts(lambda accounts: accounts.tools(name, rules, usual=usual))
    rest = "the usual tools" if user.tools is None else ", ".join(user.tools) or "no tools"
    typer.echo(f"{user.username} may use {rest}.")


@runs.callback()
def runs_options() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@runs.command("show")
def show_run(run_id: Annotated[str, typer.Argument(metavar="RUN_ID")]) -> None:
    """Show a run's life as the store has it, without its text. Changes nothing, and needs no server."""
    from chatorch.entrypoints.run_life import lines_of  # noqa: PLC0415

    async def work() -> "RunLife":
        try:
            await container.database().look()
            return await container.run_lives().read(run_id)
        except NotFound:
            _refuse("There is no run of this id.")
        finally:
            await container.database().close()

    container = _open_container(_settings())
    for line in lines_of(_run(work())):
        typer.echo(line)


def _password(from_stdin: bool, none: bool) -> str | None:
    if none:
        return _refuse("--no-password goes without --password-stdin") if from_stdin else None
    return _input(lambda: password_given(from_stdin=from_stdin))


def _line() -> str:
    return read_input(lambda stdin: stdin.readline())


def _input(read: Callable[[], str]) -> str:
    try:
        return read()
    except InputRefused as error:
        _refuse(str(error))


def _settings() -> "Settings":
    from chatorch.entrypoints.load_settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        return load_settings()
    except SettingsError as error:
        _refuse(*error.lines)


def _open_container(settings: "Settings") -> "Container":
    from chatorch.entrypoints.container import Container  # noqa: PLC0415  # slow to import

    container = Container(settings=settings)
    try:
        container.database()
        container.backplane()
        container.require_trust()
    except ValueError as error:
        _refuse(str(error))
    return container


def _with_accounts(work: "Callable[[Accounts], Awaitable[T]]") -> T:
    async def run() -> T:
        try:
            await container.database().start()
            return await work(container.accounts())
        finally:
            await container.passwords().aclose()
            await container.database().close()

    container = _open_container(_settings())
    return _run(run())


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs it; an error that is ours says what to do in its text, and takes one line."""
    import asyncio  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except Exception as error:
        if not type(error).__module__.startswith("chatorch."):
            raise
        _refuse(str(error))


def _refuse(*lines: str) -> NoReturn:
    for line in lines:
        typer.echo(f"chatorch: {line}", err=True)
    raise typer.Exit(REFUSED)


add_store_commands(app, opened=lambda: _open_container(_settings()), run=_run, refuse=_refuse)
