"""Servers and files that many tests share, and the guard that keeps all tests on this machine."""

import asyncio
import gc
import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from chatorch.adapters.sql import schema
from chatorch.entrypoints.app import GC_THRESHOLD
from tests.support.postgres import Databases, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.sizes import SOAK
from tests.support.upstream import Upstream

SLOWEST = ("test_worker_processes", "test_workers", "test_websocket", "test_worker_metrics", "test_store_outages")
"""Files whose tests mostly wait for processes. They begin first, so that none of them is left for the end alone."""


def refuse_the_world(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): whatever a test, or a library under it, connects to must be on loopback."""
    if event == "socket.connect" and isinstance(address := arguments[1], tuple):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            raise AssertionError("a test tried to leave this machine")


def pytest_configure() -> None:
    gc.disable()  # until all is collected: each process of the tests loads all of them, and all of that stays
    if "CHATORCH_TEST_DATABASE_URL" not in os.environ:
        sys.addaudithook(refuse_the_world)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each file is one worker's (`--dist=loadfile`), in this order: what a module starts, it starts once."""
    if not SOAK:
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in set(long)]
        config.hook.pytest_deselected(items=long)
    items.sort(key=lambda item: (item.path.stem not in SLOWEST, "e2e" not in item.path.parts))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Also in the process that only hands out the tests."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """A provider on loopback, in a process of its own, that does what a test tells it."""
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own, which a test may crash as long as it starts it again."""
    server = PostgresServer()
    try:
        server.create()
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Databases on the server that CHATORCH_TEST_DATABASE_URL names, else on our own."""
    if url := os.environ.get("CHATORCH_TEST_DATABASE_URL"):
        databases = Databases(url)
        yield databases
        asyncio.run(databases.drop_all())
    else:
        yield Databases(request.getfixturevalue("postgres_server").url)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of our own, for tests that leave it alone."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for one test, to be killed, stopped and started again."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema.upgrade(connection)
    engine.dispose()
    return path
