"""What asyncpg raises, for who has to know its errors and may be without it: SQLite needs no driver of PostgreSQL.

Nothing here imports it. What was never imported has raised nothing.
"""

import sys

Errors = tuple[type[Exception], ...]


def driver_errors() -> Errors:
    """Whatever comes from the server, and what the driver says itself."""
    return _named("PostgresError", "InterfaceError")


def misuse() -> Errors:
    """What the driver says itself: of a connection in the wrong state, and of arguments that do not fit."""
    return _named("InterfaceError")


def wrong_state() -> Errors:
    """No host is in the state that ``target_session_attrs`` wants."""
    return _named("TargetServerAttributeNotMatched")


def _named(*names: str) -> Errors:
    asyncpg = sys.modules.get("asyncpg")
    return tuple(getattr(asyncpg, name) for name in names) if asyncpg else ()
