"""Statements that are compiled once behave as those that SQLAlchemy executes."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.tables import threads

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROW = {
    "id": "thr_1",
    "owner_id": "usr_ann",
    "title": "Tides",
    "metadata": {"moon": [1, None]},
    "created_at": NOW,
    "updated_at": NOW,
    "client_ref": "mine",
    "stored": False,
}
ADD = Compiled(insert(threads))
FIND = Compiled(select(threads).where(threads.c.owner_id == bindparam("owner")))


async def test_what_is_written_is_read_with_its_types(database: Database) -> None:
    assert await database.write(lambda connection: ADD.run(connection, ROW)) == 1

    found = await database.read(lambda connection: FIND.rows(connection, {"owner": "usr_ann"}))

    assert [row._asdict() for row in found] == [ROW]
    assert await database.read(lambda connection: FIND.first(connection, {"owner": "usr_bob"})) is None


async def test_several_rows_are_written_at_once(database: Database) -> None:
    rows = [ROW | {"id": f"thr_{number}", "client_ref": None} for number in range(3)]
    await database.write(lambda connection: ADD.run_many(connection, rows))

    found = await database.read(lambda connection: FIND.rows(connection, {"owner": "usr_ann"}))

    assert {row.id for row in found} == {"thr_0", "thr_1", "thr_2"}


async def test_a_broken_constraint_is_sqlalchemys_error_and_nothing_is_written(database: Database) -> None:
    with pytest.raises(IntegrityError) as refused:
        await database.write(lambda connection: ADD.run_many(connection, [ROW, ROW]))

    assert "Tides" not in str(refused.value)
    assert await database.read(lambda connection: FIND.rows(connection, {"owner": "usr_ann"})) == []


async def test_a_value_that_is_missing_is_a_mistake(database: Database) -> None:
    with pytest.raises(KeyError):
        await database.read(lambda connection: FIND.rows(connection, {}))


async def test_a_statement_that_is_another_with_other_values_is_refused(database: Database) -> None:
    many = Compiled(select(threads.c.id).where(threads.c.id.in_(bindparam("ids", expanding=True))))

    with pytest.raises(ValueError, match="no one text"):
        await database.read(lambda connection: many.rows(connection, {"ids": ["thr_1"]}))
