"""A provider on loopback, and servers that use it, with Alice signed in."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.accounts import sign_up
from tests.support.postgres import Databases, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.upstream import Upstream
from tests.support.worker_processes import have_served
from tests.support.workers import Worker, alike, workers

NewServer = Callable[..., Awaitable[Server]]
ServerIn = Callable[..., Server]
NewOfTwo = Callable[..., Server]
OfTwo = Callable[..., AbstractAsyncContextManager[Worker]]
TwoWorkers = Callable[..., AbstractAsyncContextManager[list[Worker]]]
Record = Callable[[str, object], None]
"""pytest's `record_property`, for the figure that a test shows: ``--junitxml=report.xml -o junit_family=legacy``."""


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def server_in(upstream: Upstream, migrated_sqlite: Path) -> ServerIn:
    """Makes a server, not started, in a folder: with that provider, any model, any number of runs and devices a user.

    ``server_in(folder, detach_grace_s=0.5)`` sets ``CHATORCH_DETACH_GRACE_S``. On SQLite where no URL is given.
    """

    def new(folder: Path, database_url: str | None = None, **settings: object) -> Server:
        if database_url is None:
            shutil.copy(migrated_sqlite, folder / "chat.db")
            database_url = f"sqlite:///{folder}/chat.db"
        much = {"max_connections_per_user": 1000, "max_followers_per_user": 100000, "max_live_runs_per_user": 100000}
        everything = {**much, **settings}
        return Server(
            folder,
            DATABASE_URL=database_url,
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=upstream.base_url,
            CHATORCH_ALLOWED_MODELS="*",
            **{f"CHATORCH_{name.upper()}": str(value) for name, value in everything.items()},
        )

    return new


@pytest.fixture
def new_server(server_in: ServerIn, tmp_path: Path) -> NewServer:
    """Makes a server of the test's own, on SQLite, not started: ``await new_server(detach_grace_s=0.5)``."""

    async def new(**settings: object) -> Server:
        server = server_in(tmp_path, **settings)
        await sign_up(server, "alice")
        return server

    return new


@pytest.fixture(scope="session")
def server(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One on SQLite for all tests that harm nobody else by what they do to it."""
    server = server_in(tmp_path_factory.mktemp("on-sqlite"))
    asyncio.run(_begin(server))
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def on_postgres(
    server_in: ServerIn, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One on a PostgreSQL of our own, which a test may stop as long as it starts it again."""
    url = asyncio.run(Databases(postgres_server.url).fresh())
    server = server_in(tmp_path_factory.mktemp("on-postgres"), url)
    asyncio.run(_begin(server))
    yield server
    asyncio.run(server.stop())


async def _begin(server: Server) -> None:
    await sign_up(server, "alice")
    await server.start()


@pytest.fixture
def new_of_two(server_in: ServerIn, tmp_path: Path, own_redis: RedisServer) -> NewOfTwo:
    """Makes a server of two workers, not started."""

    def new(database_url: str | None = None, **settings: object) -> Server:
        server = server_in(tmp_path, database_url, **settings)
        server.settings["REDIS_URL"] = own_redis.url
        server.arguments = ("--workers", "2")
        return server

    return new


@pytest.fixture
def of_two(new_of_two: NewOfTwo) -> OfTwo:
    """``async with of_two(drain_limit_s=2) as both``: both serve, and Alice calls whichever answers."""

    @asynccontextmanager
    async def start(database_url: str | None = None, **settings: object) -> AsyncIterator[Worker]:
        async with workers([new_of_two(database_url, **settings)]) as [both]:
            await have_served(both.server, 2)
            yield both

    return start


@pytest.fixture
def two_workers(server_in: ServerIn, tmp_path: Path, own_redis: RedisServer) -> TwoWorkers:
    """``async with two_workers(lease_s=2) as (one, two)``; both on SQLite, or on the database whose URL is given."""

    def start(database_url: str | None = None, **settings: object) -> AbstractAsyncContextManager[list[Worker]]:
        (tmp_path / "one").mkdir()
        first = server_in(tmp_path / "one", database_url, **settings)
        first.settings["REDIS_URL"] = own_redis.url
        return workers([first, alike(first, tmp_path / "two")])

    return start
