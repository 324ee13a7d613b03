"""Rights on the tables that are missing, named before a request needs them."""

from pathlib import Path

import asyncpg

from chatorch.adapters.sql import lacking_rights, open_database
from tests.support.postgres import Databases


async def test_each_right_that_a_role_lacks_is_named_with_its_table(postgres: Databases) -> None:
    url = await postgres.fresh()
    role = f"low_{url.rsplit('_', 1)[1]}"
    admin = await asyncpg.connect(url)
    await admin.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};"
        f"REVOKE UPDATE, DELETE ON users FROM {role}; REVOKE ALL ON sweeps FROM {role}"
    )
    await admin.close()
    lacking = ("DELETE on sweeps", "INSERT on sweeps", "SELECT on sweeps", "UPDATE on sweeps")
    for who, expected in (("chatorch", ()), (role, (*lacking, "DELETE on users", "UPDATE on users"))):
        database = open_database(url.replace("chatorch@", f"{who}@"))
        assert await lacking_rights(database) == expected
        await database.close()


async def test_a_file_has_no_rights_of_its_tables(migrated_sqlite: Path) -> None:
    database = open_database(f"sqlite:///{migrated_sqlite}")
    assert await lacking_rights(database) == ()
    await database.close()
