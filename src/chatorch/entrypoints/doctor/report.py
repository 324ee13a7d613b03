"""All looks, one after the other, as lines."""

import asyncio
import sys

import typer

from chatorch.entrypoints.container import Container
from chatorch.entrypoints.doctor.finding import Finding
from chatorch.entrypoints.doctor.inside import look_inside
from chatorch.entrypoints.doctor.outside import look_outside
from chatorch.entrypoints.load_settings import SettingsError, load_settings, unknown_settings
from chatorch.entrypoints.process.logs import configure_logs


def report(url: str | None, token: str | None) -> int:
    """Prints a line for each finding. Returns the exit status: 1 where something is not well."""
    configure_logs(level="error", stream=sys.stderr)  # what is found has its line already
    try:
        container = Container(settings=load_settings())
        container.database()
        container.backplane()
        container.require_trust()
    except SettingsError as error:
        found = [Finding("settings", False, line) for line in error.lines]
    except ValueError as error:
        found = [Finding("settings", False, str(error))]
    else:
        found = asyncio.run(findings(container, url, token))
    for one in found:
        typer.echo(str(one))
    return 0 if all(one.well for one in found) else 1


async def findings(container: Container, url: str | None, token: str | None) -> list[Finding]:
    """`token` is of a user, for what only users may do through the public address `url`."""
    found = _unknown() or [Finding("settings", True, "each can be read, and is known")]
    try:
        found += await look_inside(container)
        if url is not None:
            found += await look_outside(url, container.settings(), token)
    finally:
        await container.chat_model().aclose()
        await container.database().close()
    return found


def _unknown() -> list[Finding]:
    """What was misspelt is a setting that nobody has, and nobody misses."""
    return [Finding("settings", False, line) for line in unknown_settings()]
