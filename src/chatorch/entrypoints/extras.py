"""What was installed with chatorch: the service, and what may be added to it, are extras of the wheel.

Standard library only, so that it can say what is missing. `pyproject.toml` has the distributions and their versions.
"""

from importlib.util import find_spec

MODULES = {
    "server": (
        *("aiohttp", "alembic", "argon2", "dependency_injector", "dotenv", "fastapi", "httptools", "httpx2", "idna"),
        *("jwt", "msgspec", "openai", "prometheus_client", "pydantic", "pydantic_settings", "python_multipart"),
        *("sqlalchemy", "starlette", "structlog", "typer", "uvicorn", "uvloop", "websockets", "yarl"),
    ),
    "postgres": ("asyncpg", "greenlet"),
    "redis": ("redis", "hiredis"),
    "chatkit": ("chatkit",),
    "mcp": ("anyio", "mcp", "mcp_types"),
}
"""By extra: what of it is imported, here or by what it brings."""


class NotInstalled(ImportError):
    """An extra is missing. The text is one line that says what to install."""


def lacks(extra: str) -> str | None:
    """What to do, as the end of a sentence, where something of an extra is not there; None where all is."""
    if all(map(find_spec, MODULES[extra])):
        return None
    return f"pip install 'chatorch[{extra}]'"


def require_server() -> None:
    """Raises `NotInstalled`."""
    if advice := lacks("server"):
        raise NotInstalled(f"the service is not installed: {advice}", name=__name__)
