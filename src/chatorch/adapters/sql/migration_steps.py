"""Alembic, which takes the schema from one revision to another. Imported for that only: it is nine megabytes."""

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


@cache
def script() -> ScriptDirectory:
    """The steps that this version knows, read once."""
    return ScriptDirectory.from_config(_config())


def go_up(connection: Connection) -> None:
    """Runs all steps that are missing, in the connection's transaction."""
    command.upgrade(_config(connection), "head")


def go_down(connection: Connection, revision: str) -> None:
    command.downgrade(_config(connection), revision)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "chatorch.adapters.sql:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
