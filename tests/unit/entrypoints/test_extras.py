"""What belongs to which extra of the wheel, and what is said where one is missing."""

import ast
import json
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from chatorch.entrypoints.extras import MODULES, lacks

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "chatorch"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
BROUGHT = {"greenlet": "sqlalchemy[asyncio]", "hiredis": "redis[hiredis]"}
"""What an extra has by an extra of another package."""
BASE = ("__init__.py", "__main__.py", "domain/", "ports/", "adapters/memory/", "adapters/system.py", "tools.py")
BASE_OF_DOORS = ("entrypoints/__init__.py", "entrypoints/extras.py")
AT_HOME = {
    "asyncpg": ("adapters/sql/connecting.py", "adapters/sql/lock_postgres.py", "adapters/sql/pooler.py"),
    "redis": ("adapters/redis/",),
    "chatkit": ("entrypoints/chatkit/",),
    "anyio": ("adapters/tools/mcp/",),
    "mcp": ("adapters/tools/mcp/",),
    "mcp_types": ("adapters/tools/mcp/",),
}
"""Where what is not the service's on SQLite may be imported."""
WITHOUT = """
import asyncio, json, os, sys
lacking = ("asyncpg", "greenlet", "redis", "hiredis", "chatkit", "agents", "mcp", "mcp_types")
sys.modules.update(dict.fromkeys(lacking))
from chatorch.entrypoints.process.lean_imports import SPARED, import_lean
import_lean()
from chatorch.entrypoints.load_settings import SettingsError, load_settings
told = {}
for name, value in json.loads(sys.argv[1]).items():
    os.environ[name] = value
    try: load_settings(None)
    except SettingsError as error: told[name] = error.lines
    del os.environ[name]
from chatorch.entrypoints.app import create_app_from_environment
async def live():
    async with app.router.lifespan_context(app): return app.state.started
app = create_app_from_environment()
serves = asyncio.run(live())
needless = {"alembic", "mako", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql", *sum(SPARED.values(), ())}
print(json.dumps([told, serves, sorted(needless & set(sys.modules))]))
"""


def modules_of(requirement: Requirement) -> set[str]:
    """What a distribution can be imported as."""
    names = [Path(file).parts for file in distribution(requirement.name).files or ()]
    return {parts[0].removesuffix(".py") for parts in names if parts[-1].endswith((".py", ".so"))}


def imported(path: Path) -> set[str]:
    """What of others a file names in an import, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    tops = {name.partition(".")[0] for name in found}
    return tops - sys.stdlib_module_names - {"chatorch"}


@cache
def all_imported() -> dict[str, set[str]]:
    return {str(path.relative_to(SOURCE)): imported(path) for path in sorted(SOURCE.rglob("*.py"))}


@pytest.mark.parametrize("extra", sorted(MODULES))
def test_each_module_of_an_extra_is_of_a_package_that_the_wheel_asks_for_and_the_other_way_round(extra: str):
    asked = {line: modules_of(Requirement(line)) for line in EXTRAS[extra] if Requirement(line).name != "chatorch"}
    own = set(MODULES[extra]) - set(BROUGHT)
    assert own <= set().union(*asked.values())
    assert [line for line, modules in asked.items() if not modules & {*MODULES["server"], *own}] == []
    for module in set(MODULES[extra]) & set(BROUGHT):
        assert any(line.startswith(BROUGHT[module]) for line in asked)


def test_the_base_imports_the_standard_library_only():
    base = {name: used for name, used in all_imported().items() if name.startswith((*BASE, *BASE_OF_DOORS))}
    assert len(base) > 60
    assert {name: used for name, used in base.items() if used} == {}


def test_what_is_imported_is_of_an_extra_and_at_its_home():
    for name, used in all_imported().items():
        for module in used - set(MODULES["server"]):
            assert name.startswith(AT_HOME.get(module, ())), f"{name} imports {module}"


def test_all_is_there_where_it_is_developed():
    assert [extra for extra in MODULES if lacks(extra)] == []


def test_the_service_on_sqlite_does_without_the_others_and_names_what_is_asked_for_and_missing(tmp_path: Path):
    asked = {
        "DATABASE_URL": "postgresql://ann:hunter2@localhost/chat",
        "REDIS_URL": "redis://:hunter2@localhost/0",
        "CHATORCH_CHATKIT_SERVER": "true",
        "CHATORCH_MCP_SERVERS": "files",
    }
    environment = {"SECRET_KEY": "k" * 32, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(asked)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, serves, needless = json.loads(done.stdout)
    assert told == {
        "DATABASE_URL": ["DATABASE_URL: PostgreSQL is not installed: pip install 'chatorch[postgres]'"],
        "REDIS_URL": ["REDIS_URL: Redis is not installed: pip install 'chatorch[redis]'"],
        "CHATORCH_CHATKIT_SERVER": [
            "CHATORCH_CHATKIT_SERVER: ChatKit is not installed: pip install 'chatorch[chatkit]'"
        ],
        "CHATORCH_MCP_SERVERS": ["CHATORCH_MCP_SERVERS: MCP is not installed: pip install 'chatorch[mcp]'"],
    }
    assert serves
    assert needless == [], "nor does it load what it has no use for"
