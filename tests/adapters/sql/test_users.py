"""What stands in the table of users, where the release before reads it too."""

from sqlalchemy import Connection, select

from chatorch.adapters.sql import Database
from chatorch.adapters.sql.tables import users
from chatorch.domain.model.identity import Scope, User
from tests.support.stores import ANN, NOW, sql_stores


async def test_no_password_is_an_empty_hash_which_is_wrong_for_the_release_before_and_no_error(
    database: Database,
) -> None:
    await sql_stores(database).users.add(User(ANN, "ann", None, frozenset({Scope.CHAT}), False, NOW, NOW))

    def stored(connection: Connection) -> str | None:
        return connection.execute(select(users.c.password_hash)).scalar_one()

    assert await database.read(stored) == ""
