"""Accounts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from secrets import randbelow
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, false, insert, true, update
from sqlalchemy.exc import IntegrityError

from chatorch.adapters.sql.columns import UtcTime
from chatorch.adapters.sql.compiled import Compiled
from chatorch.adapters.sql.database import Database
from chatorch.adapters.sql.errors import breaks
from chatorch.adapters.sql.rows import NO_PASSWORD, SELECT_USER, to_user, tools_text, user_values
from chatorch.adapters.sql.tables import users
from chatorch.domain.model.errors import UsernameTaken
from chatorch.domain.model.identity import GENERATION_STEP, User, UserId
from chatorch.ports.users import UserStore

_BY_ID = Compiled(SELECT_USER.where(users.c.id == bindparam("user_id")))
_BY_USERNAME = Compiled(SELECT_USER.where(users.c.username == bindparam("username")))
_BY_IDS = SELECT_USER.where(users.c.id.in_(bindparam("user_ids", expanding=True)))
_ALL = SELECT_USER.order_by(users.c.username)
_ADD = insert(users)
# Raised by the database, so that of two changes at once neither is lost.
_NEXT_GENERATION = users.c.generation + bindparam("step", type_=Integer)
_DISABLE = update(users).where(users.c.id == bindparam("user_id")).values(disabled=true(), generation=_NEXT_GENERATION)
_ENABLE = update(users).where(users.c.id == bindparam("user_id")).values(disabled=false())
_SET_TOOLS = update(users).where(users.c.id == bindparam("user_id")).values(tools=bindparam("new_tools"))
_SET_PASSWORD = (
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(
        password_hash=bindparam("new_hash"),
        password_changed_at=bindparam("changed_at", type_=UtcTime),
        generation=_NEXT_GENERATION,
    )
)


IDS_AT_ONCE = 1000
"""SQLite takes 32,766 parameters in a statement, PostgreSQL 32,767."""


class SqlUserStore(UserStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User) -> None:
        values = user_values(user)
        try:
            await self._database.write(lambda connection: _execute(connection, _ADD, values))
        except IntegrityError as error:
            if breaks(error, "uq_users_username", "users.username"):
                raise UsernameTaken from None
            raise

    async def by_username(self, username: str) -> User | None:
        return await self._database.read(lambda connection: _one(connection, _BY_USERNAME, {"username": username}))

    async def by_id(self, user_id: UserId) -> User | None:
        return await self._database.read(lambda connection: _one(connection, _BY_ID, {"user_id": user_id}))

    async def by_ids(self, user_ids: Collection[UserId]) -> Mapping[UserId, User]:
        wanted = list(user_ids)
        return await self._database.read(lambda connection: {user.id: user for user in _many(connection, wanted)})

    async def list_all(self) -> Sequence[User]:
        return await self._database.read(lambda connection: [to_user(row) for row in connection.execute(_ALL)])

    async def set_disabled(self, user_id: UserId, disabled: bool) -> None:
        statement = _DISABLE if disabled else _ENABLE
        values = {"user_id": user_id, **({"step": _step()} if disabled else {})}
        await self._database.write(lambda connection: _execute(connection, statement, values), owner=user_id)

    async def set_tools(self, user_id: UserId, tools: tuple[str, ...] | None) -> None:
        values = {"user_id": user_id, "new_tools": tools_text(tools)}
        await self._database.write(lambda connection: _execute(connection, _SET_TOOLS, values), owner=user_id)

    async def set_password(self, user_id: UserId, password_hash: str | None, changed_at: datetime) -> None:
        values = {
            "user_id": user_id,
            "new_hash": password_hash or NO_PASSWORD,
            "changed_at": changed_at,
            "step": _step(),
        }
        await self._database.write(lambda connection: _execute(connection, _SET_PASSWORD, values), owner=user_id)


def _step() -> int:
    return 1 + randbelow(GENERATION_STEP)


def _execute(connection: Connection, statement: Any, values: dict[str, Any]) -> None:
    connection.execute(statement, values)


def _many(connection: Connection, user_ids: list[UserId]) -> Iterator[User]:
    for start in range(0, len(user_ids), IDS_AT_ONCE):
        for row in connection.execute(_BY_IDS, {"user_ids": user_ids[start : start + IDS_AT_ONCE]}):
            yield to_user(row)


def _one(connection: Connection, statement: Compiled, values: dict[str, Any]) -> User | None:
    row = statement.first(connection, values)
    return None if row is None else to_user(row)
