"""Servers and files that many tests share."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from chatorch.adapters.sql import schema
from tests.support.postgres import Databases, PostgresServer


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
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema.upgrade(connection)
    engine.dispose()
    return path
