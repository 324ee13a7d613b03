"""Migrations, and what is said where they are missing."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from chatorch.adapters.sql import Database, SchemaMismatch, migrate, migration_steps, open_database, schema
from chatorch.adapters.sql.tables import metadata
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.postgres import Databases
from tests.support.stores import new_run, sql_stores, turn

TABLES = {
    *("users", "threads", "messages", "runs", "idempotency_keys", "interactions"),
    *("thread_notes", "message_notes", "side_items", "ratings", "chatkit_sessions", "answer_tails", "sweeps"),
    "message_parts",
}
PRAGMAS = {
    "table_xinfo": 'name, type, "notnull", dflt_value, pk, hidden',
    "foreign_key_list": '"from", "table", "to", on_update, on_delete, match',
    "index_xinfo": "seqno, name, desc, coll, key",
}


@pytest.fixture(params=["sqlite", "postgresql"])
async def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("postgres")
        return await databases.fresh(migrated=False)
    return f"sqlite:///{tmp_path}/new.db"


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_the_names_of_the_steps_tell_the_revisions_that_alembic_finds_in_them():
    assert [step.revision for step in schema.script().walk_revisions()] == [*reversed(schema.revisions())]


def shape(connection: Connection) -> dict[str, object]:
    """All that makes an SQLite schema, but for the order of columns: types, defaults, keys, checks, and indexes."""
    found: dict[str, object] = {}
    for kind, name, sql in connection.execute(text("SELECT type, name, sql FROM sqlite_master")).all():
        listed = {
            pragma: sorted(map(str, connection.execute(text(f"SELECT {what} FROM pragma_{pragma}('{name}')")).all()))
            for pragma, what in PRAGMAS.items()
        }
        rules = ("CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY KEY", "CREATE INDEX", "CREATE UNIQUE INDEX")
        parts = sorted(part.strip(" ,\t") for part in (sql or "").splitlines() if part.strip().startswith(rules))
        found[name] = (kind, listed, parts)
    return found


async def test_a_new_sqlite_file_is_as_all_steps_would_make_it(tmp_path: Path) -> None:
    made, stepped = (open_database(f"sqlite:///{tmp_path}/{name}.db") for name in ("made", "stepped"))
    await made.start()
    await stepped.alter(migration_steps.go_up)
    assert await made.read(shape) == await stepped.read(shape)
    assert await made.read(schema.known_revision) == await stepped.read(schema.known_revision) == schema.head()
    await made.close()
    await stepped.close()


def revise(revision: str):
    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})

    return work


async def test_it_goes_up_down_and_up_again(new_url: str) -> None:
    database = open_database(new_url)

    await migrate(database)
    assert await database.read(tables) == TABLES
    await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))

    await database.alter(lambda connection: schema.downgrade(connection, "base"))
    assert await database.read(tables) == set()

    await migrate(database)
    assert await database.read(tables) == TABLES
    await database.start()
    await database.close()


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        ("CREATE TABLE users (a int)", "did not make"),
        ("CREATE TABLE alembic_version (a int)", "another application's"),
        (f"CREATE TABLE alembic_version AS SELECT '{'d' * 12}' AS version_num", "another application's"),
        ("CREATE TABLE alembic_version AS SELECT '0001' AS version_num UNION SELECT '0002'", "another application's"),
    ],
)
async def test_in_a_database_of_another_application_nothing_is_made(new_url: str, there: str, problem: str) -> None:
    database = open_database(new_url)
    await database.alter(lambda connection: connection.execute(text(there)))
    with pytest.raises(SchemaMismatch, match=problem) as refused:
        await migrate(database)
    assert "database of its own" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(await database.read(lambda connection: inspect(connection).get_table_names())) == 1
    await database.close()


async def test_without_a_schema_to_put_tables_into_the_search_path_is_named(postgres: Databases) -> None:
    database = open_database(f"{await postgres.fresh(migrated=False)}?options=-csearch_path%3Dnosuch")
    with pytest.raises(StoreUnavailable, match=r"see search_path \(SQLSTATE 3F000\)"):
        await migrate(database)
    await database.close()


async def test_an_encoding_that_lacks_characters_is_refused(postgres: Databases) -> None:
    url = await postgres.fresh(migrated=False)
    admin, name = await asyncpg.connect(url), f"{url.rsplit('/', 1)[1]}_latin"
    await admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    await admin.close()
    database = open_database(f"{url.rsplit('/', 1)[0]}/{name}")
    for attempt in (database.start, lambda: migrate(database)):
        with pytest.raises(SchemaMismatch, match="is LATIN1, which lacks characters"):
            await attempt()
    await database.close()


async def test_migrating_what_is_migrated_changes_nothing(database: Database) -> None:
    await sql_stores(database).runs.open_run(new_run("r"), turn("m", "t", opens=True))

    await migrate(database)

    assert len(await sql_stores(database).execution_store.live_runs()) == 1


async def test_the_migrated_schema_is_the_one_in_the_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert await database.read(differences) == []


async def test_the_guarding_indexes_are_partial(database: Database) -> None:
    def predicates(connection: Connection) -> dict[str, str]:
        if connection.dialect.name == "sqlite":
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql LIKE '% WHERE %'"))
        else:
            rows = connection.execute(
                text("SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '% WHERE %'")
            )
        return {name: definition.partition(" WHERE ")[2] for name, definition in rows}

    found = await database.read(predicates)

    assert "stored" in found.pop("ix_threads_unstored")
    assert set(found) == {"uq_runs_live_thread", "ix_runs_live_owner"}
    assert all("'queued'" in predicate and "'streaming'" in predicate for predicate in found.values())


async def test_postgresql_sorts_ids_and_names_by_code_point_whatever_its_locale(postgres: Databases) -> None:
    database = open_database(await postgres.fresh())
    statement = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE collation_name = 'C'"

    def sorted_by_code_point(connection: Connection) -> set[str]:
        return set(connection.execute(text(statement)).scalars())

    assert {"users.username", "threads.id", "threads.owner_id", "runs.id"} <= await database.read(sorted_by_code_point)
    await database.close()


async def test_what_the_release_before_writes_still_fits(database: Database) -> None:
    """It goes on for a while beside this one: it names the columns that it knows."""
    old = """
        INSERT INTO users (id, username, password_hash, scopes, disabled, created_at, password_changed_at)
        VALUES ('usr_old', 'old', 'hash', 'chat', {false}, {now}, {now});
        INSERT INTO chatkit_sessions (id, user_id, workflow_id, status, created_at, expires_at, retry_at, refreshable)
        VALUES ('cks_old', 'usr_old', 'wf_one', 'active', {now}, {now}, {now}, {false})
    """

    def write(connection: Connection) -> None:
        lite = connection.dialect.name == "sqlite"
        for statement in old.format(now="0" if lite else "now()", false="false").split(";"):
            connection.execute(text(statement))

    await database.write(write)

    stores = sql_stores(database)
    found = await stores.users.by_username("old")
    assert found is not None
    assert found.generation == 0
    assert await stores.sessions.revoke(found.id, None, found.created_at) == ()


@pytest.mark.parametrize("query", ["live runs of an owner", "live runs"])
async def test_live_runs_are_found_by_index_alone(sqlite_path: Path, query: str) -> None:
    conditions = {"live runs of an owner": "owner_id = 'x' AND ", "live runs": ""}
    database = open_database(f"sqlite:///{sqlite_path}")

    def plan(connection: Connection) -> str:
        statement = f"EXPLAIN QUERY PLAN SELECT id FROM runs WHERE {conditions[query]}status IN ('queued', 'streaming')"
        return " ".join(row.detail for row in connection.execute(text(statement)))

    assert "INDEX" in await database.read(plan)
    await database.close()


async def test_sqlite_migrates_itself_at_the_start(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/new.db")

    await database.start()

    assert await database.read(tables) == TABLES
    await database.close()


async def test_processes_that_start_or_migrate_at_once_do_not_clash(new_url: str) -> None:
    databases = [open_database(new_url) for _ in range(4)]

    await asyncio.gather(*(migrate(database) for database in databases))

    assert await databases[0].read(tables) == TABLES
    await asyncio.gather(*(database.start() for database in databases))
    await asyncio.gather(*(database.close() for database in databases))


async def test_postgresql_without_tables_asks_to_migrate(postgres: Databases) -> None:
    database = open_database(await postgres.fresh(migrated=False))

    with pytest.raises(SchemaMismatch) as refused:
        await database.start()

    assert str(refused.value) == "The database has no tables yet: run `chatorch migrate`."
    await database.close()


def test_a_database_that_is_behind_asks_to_migrate() -> None:
    assert schema.mismatch("0001", "0002") == (
        "The database is at revision 0001 and this chatorch needs 0002: run `chatorch migrate`."
    )
    assert schema.mismatch("0002", "0002") is None


async def test_a_database_that_is_ahead_asks_for_a_newer_chatorch(database: Database) -> None:
    await database.write(revise("9999"))

    for attempt in (database.start, lambda: migrate(database)):
        with pytest.raises(SchemaMismatch) as refused:
            await attempt()
        assert str(refused.value) == (
            "The database is at revision 9999, which this chatorch does not know: upgrade chatorch, "
            f"or go back with the later one's `chatorch migrate --down --to {schema.head()}`."
        )
