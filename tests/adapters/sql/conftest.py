"""Both databases, migrated and empty."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chatorch.adapters.sql import Database, open_database
from tests.support.postgres import Databases, PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("postgres")
        return await databases.fresh()
    shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "chat.db")
    return f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


@pytest.fixture
def sqlite_path(migrated_sqlite: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_sqlite, tmp_path / "chat.db"))


@pytest.fixture
def crashing_postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, for a test that crashes it; it runs again afterwards whatever happened."""
    yield postgres_server
    postgres_server.ensure_running()


@pytest.fixture(scope="session")
def own_postgres(postgres_server: PostgresServer) -> Databases:
    """Databases on the server that a test may crash."""
    return Databases(postgres_server.url)
