"""``chatorch migrate`` and ``chatorch backup``: what an operator does with the store as a whole."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer

from chatorch.entrypoints.process.stopping import SIGNALS

if TYPE_CHECKING:
    from chatorch.entrypoints.container import Container

NOT_CURRENT = 1
"""The exit status of ``migrate --status`` where there is something to do."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there")]
Down = Annotated[bool, typer.Option("--down", help="Go back, before an earlier version is started; drops what is new")]
To = Annotated[str | None, typer.Option(metavar="REVISION", help="Where to with --down; without, one step")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, --down only says what would be dropped")]
Status = Annotated[bool, typer.Option("--status", help="Only say which revision there is; 1 if it is not this one's")]


class RunWork(Protocol):
    def __call__(self, work: Any, /) -> Any: ...


def add_store_commands(
    app: typer.Typer, *, opened: Callable[[], "Container"], run: RunWork, refuse: Callable[[str], NoReturn]
) -> None:
    """`opened` is the container of the settings, `run` runs work and `refuse` ends the command, with one line."""

    @app.command()
    def migrate(down: Down = False, to: To = None, yes: Yes = False, status: Status = False) -> None:
        """Bring the database's schema to this version's, or back to an earlier one's."""
        if (to is not None or yes) and not down:
            refuse("--to and --yes go with --down")
        if status and down:
            refuse("--status goes without --down")
        container = opened()

        async def work() -> None:
            try:
                await (_show(container) if status else _down(container, to, yes) if down else _up(container))
            finally:
                await container.database().close()

        run(work())

    @app.command()
    def backup(file: File, force: Force = False) -> None:
        """Copy a SQLite database into FILE, also while it is in use. For PostgreSQL there is pg_dump."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nothing unfinished stays behind
                signal.signal(number, lambda number, _: sys.exit(128 + number))
        container = opened()

        async def work() -> None:
            copied = container.back_up()(file, replace=force)
            typer.echo(
                f"Wrote {copied.path}: {copied.messages} messages, {copied.size} bytes, revision {copied.revision}; "
                "checked."
            )

        run(work())


async def _up(container: "Container") -> None:
    await container.migrate()
    typer.echo("The database is up to date.")


async def _show(container: "Container") -> None:
    found = await container.known_revisions()
    typer.echo(f"The database is at revision {found.revision or 'none'}; this chatorch needs {found.head}.")
    if found.revision != found.head:
        raise typer.Exit(NOT_CURRENT)


async def _down(container: "Container", to: str | None, yes: bool) -> None:
    gone = await container.downgrade()(to, really=yes)
    typer.echo(f"Revision {gone.revision} was taken back to {gone.target}." if yes else _would(gone))
    for what in gone.lost:
        typer.echo(f"  {'dropped' if yes else 'drops'} {what}")
    for note in gone.notes:
        typer.echo(f"  {note}")
    if not yes:
        raise typer.Exit(NOT_CURRENT)


def _would(gone: Any) -> str:
    return (
        f"Going from revision {gone.revision} back to {gone.target} was tried and undone. Back it up, then repeat with "
        "--yes."
    )
