"""A store that is full or read-only says so until a write succeeds."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from chatorch.adapters.sql import open_database
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.writable import LEAST_FREE, is_full
from chatorch.domain.model.errors import NotWritable, StoreUnavailable
from tests.support.postgres import Databases

MAKE = "CREATE TABLE things (body TEXT)"
ADD = "INSERT INTO things VALUES ('a thing')"


@pytest.fixture
async def sqlite(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[Database]:
    shutil.copy(migrated_sqlite, tmp_path / "chat.db")
    database = open_database(f"sqlite:///{tmp_path}/chat.db")
    yield database
    await database.close()


@pytest.fixture
async def postgresql(postgres: Databases) -> AsyncIterator[Database]:
    database = open_database(await postgres.fresh())
    yield database
    await database.close()


async def run(database: Database, *statements: str) -> None:
    def work(connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    await database.write(work)


async def reason(database: Database) -> str | None:
    try:
        await database.ping()
    except NotWritable as error:
        return error.kind
    return None


async def test_sqlite_that_has_no_room_is_full_until_it_has(sqlite: Database):
    await run(sqlite, MAKE)
    await run(sqlite, "PRAGMA max_page_count = 1")  # no page more than it has
    assert await reason(sqlite) is None, "nobody has tried to write"
    with pytest.raises(StoreUnavailable):
        await run(sqlite, f"INSERT INTO things VALUES (hex(zeroblob({2**20})))")
    for _ in range(3):
        assert await reason(sqlite) == "disk_full"
    await run(sqlite, "PRAGMA max_page_count = 1000000")
    assert await reason(sqlite) is None
    await run(sqlite, ADD)


@pytest.mark.parametrize(
    ("state", "name"), [("53100", "disk_full"), ("25006", "read_only"), ("58030", "disk_fails"), ("53200", None)]
)
async def test_what_postgresql_says_of_a_write_counts_until_one_succeeds(
    postgresql: Database, state: str, name: str | None
):
    refuse = f"BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END"
    await run(
        postgresql,
        MAKE,
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$",
        "CREATE TRIGGER refused BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    assert await reason(postgresql) is None
    with pytest.raises(StoreUnavailable):
        await run(postgresql, ADD)
    assert postgresql.writes.refused == name
    assert await reason(postgresql) is None, "a trial goes well"
    assert postgresql.writes.refused is None


async def test_a_user_who_may_make_no_temporary_tables_is_ready_again(postgres: Databases):
    url = await postgres.fresh()
    name, role = urlsplit(url).path[1:], f"modest_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(url)
    await admin.execute(f'CREATE ROLE {role} LOGIN; REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    await admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    database = open_database(url.replace("chatorch@", f"{role}@"))
    database.writes.refused = "disk_full"
    assert await reason(database) is None
    assert database.writes.refused is None
    await database.close()
    await admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await admin.close()


async def test_postgresql_that_is_read_only_is_so_without_a_write(postgresql: Database):
    await run(postgresql, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    assert await reason(postgresql) == "read_only"


@pytest.mark.parametrize(
    ("free", "size", "full"),
    [
        (0, 2**20, True),
        (2**20, 8 * 2**20, False),
        (LEAST_FREE - 1, 2**40, True),
        (LEAST_FREE, 2**40, False),
        (2**10, 64 * 2**20, True),
    ],
)
def test_a_disk_is_full_below_a_small_bound(free: int, size: int, full: bool):
    assert is_full(free, size) is full
