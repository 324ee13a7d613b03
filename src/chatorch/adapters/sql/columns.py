"""Column types that mean the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

KEY_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted by code point, as SQLite does it: ids and names."""


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC to the microsecond: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite.

    SQLite has no type for times; an integer sorts right and keeps every digit.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        if dialect.name == "sqlite":
            return (value - _EPOCH) // _MICROSECOND
        return _in_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=value)
        time: datetime = value
        return time.astimezone(UTC)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar, in another zone: only a forged cursor has them
        return _FIRST if value.year == 1 else _LAST


def load_json(text: str) -> Any:
    """Nearly all metadata is empty, and a page or a history is a hundred rows."""
    return {} if text == "{}" else json.loads(text)
