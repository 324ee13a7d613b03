"""Statements of every answer, compiled once, and executed on the driver's cursor within a transaction of SQLAlchemy's.

Looking up the compiled form, building parameters and results for it costs SQLAlchemy several times what SQLite needs
for the statement itself, and as much as a journey to PostgreSQL.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

Process = Callable[[Any], Any]
Statement = Select[Any] | Insert | Update | Delete
Values = Mapping[str, Any]


class Compiled:
    """A statement without expanding parameters. It takes values, and raises, as `Connection.execute` does with it."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        # By the class of the dialect, since every engine has one of its own, and they compile the same.
        self._forms: dict[tuple[type[Dialect], tuple[str, ...]], _Form] = {}

    def run(self, connection: Connection, values: Values) -> int:
        """How many rows it changed."""
        form = self._form(connection.dialect, values)
        count: int = form.execute(connection, form.bind(values)).rowcount
        return count

    def run_many(self, connection: Connection, values: Sequence[Values]) -> None:
        """`values` are one at least."""
        form = self._form(connection.dialect, values[0])
        form.execute(connection, [form.bind(each) for each in values], many=True)

    def rows(self, connection: Connection, values: Values) -> list[Any]:
        """Named tuples of what it selects or returns."""
        form = self._form(connection.dialect, values)
        return [form.row(row) for row in form.execute(connection, form.bind(values)).fetchall()]

    def first(self, connection: Connection, values: Values) -> Any | None:
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def _form(self, dialect: Dialect, values: Values) -> "_Form":
        key = (type(dialect), tuple(values))
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = _Form(self._statement, list(values), dialect)
        return form


class _Form:
    """A statement as one dialect has it."""

    def __init__(self, statement: Statement, keys: list[str], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=keys)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError("a statement with parameters that are put into its text has no one text")
        self.sql = compiled.string
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self._binds = [
            (bind.key, bind.required, bind.value, _to_driver(bind.type, dialect))
            for bind in (binds[name] for name in compiled.positiontup or ())
        ]
        results = list(statement.exported_columns)
        self._named = _named(tuple(column.key or "" for column in results))
        self._results = [
            (place, process)
            for place, column in enumerate(results)
            if (process := _from_driver(column.type, dialect)) is not None
        ]

    def bind(self, values: Values) -> tuple[Any, ...]:
        return tuple(
            [
                process(value) if process is not None else value
                for key, required, default, process in self._binds
                for value in (values[key] if required else values.get(key, default),)
            ]
        )

    def row(self, row: Sequence[Any]) -> Any:
        if self._results:
            row = list(row)
            for place, process in self._results:
                row[place] = process(row[place])
        return self._named(row)

    def execute(self, connection: Connection, parameters: Any, *, many: bool = False) -> Any:
        """The cursor."""
        dialect = connection.dialect
        cursor = connection.connection.cursor()
        try:
            (cursor.executemany if many else cursor.execute)(self.sql, parameters)
        except dialect.loaded_dbapi.Error as error:
            lost = dialect.is_disconnect(error, connection.connection, cursor)
            if lost:
                connection.invalidate(error)
            raise DBAPIError.instance(
                self.sql,
                None,
                error,
                dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=lost,
                dialect=dialect,
            ) from error
        return cursor


def _to_driver(type_: TypeEngine[Any], dialect: Dialect) -> Process | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(type_: TypeEngine[Any], dialect: Dialect) -> Process | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)


@lru_cache
def _named(names: tuple[str, ...]) -> Process:
    row: Any = namedtuple("Row", list(names))  # type: ignore[misc]
    return partial(tuple.__new__, row)
