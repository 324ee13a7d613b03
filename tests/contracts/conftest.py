"""Every adapter of the store ports, one after the other."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis as SyncRedis

from chatorch.adapters.redis.vetting import rights
from chatorch.adapters.sql import open_database
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
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


@pytest.fixture(scope="session")
def redis_server(redis_server: RedisServer) -> "LimitedRedis":
    """As a user who may do what docs/redis.md says, and nothing else: all contracts hold with these rights."""
    user = [*("on", ">limited", "resetkeys", "~test-*", "resetchannels", "&test-*", "-@all"), *rights()]
    with SyncRedis(port=redis_server.port) as client:
        client.execute_command("ACL", "SETUSER", "limited", *user)
    return LimitedRedis(f"redis://limited:limited@127.0.0.1:{redis_server.port}/0")


@dataclass(frozen=True)
class LimitedRedis:
    url: str
