"""Every adapter of the store ports, one after the other."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatorch.adapters.sql import open_database
from tests.support.postgres import Databases
from tests.support.stores import Stores, empty, memory_stores, sql_stores


@pytest.fixture(scope="session")
def emptied(postgres: Databases) -> "EmptiedDatabase":
    return EmptiedDatabase(postgres)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "memory":
        yield memory_stores()
        return
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "chat.db")
        url = f"sqlite:///{tmp_path}/chat.db"
    else:
        url = await request.getfixturevalue("emptied").url()
    database = open_database(url)
    yield sql_stores(database)
    await database.close()


class EmptiedDatabase:
    """One PostgreSQL database for all contracts, emptied for each test: a third of the time of a new one."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._url: str | None = None

    async def url(self) -> str:
        if self._url is None:
            self._url = await self._databases.fresh()
        else:
            await empty(self._url)
        return self._url
