"""Pages of a list, and the opaque cursors between them."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from chatorch.domain.model.errors import InvalidField

T = TypeVar("T")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ThreadCursor:
    """A place in a list of threads: between this thread, as it was when it was listed, and the next."""

    updated_at: datetime
    id: str

    def encode(self) -> str:
        return encode_cursor(["t", self.updated_at.astimezone(UTC).isoformat(), self.id])

    @classmethod
    def decode(cls, token: str) -> "ThreadCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match decode_cursor(token):
            case ["t", str(at), str(id_)]:
                try:
                    when = datetime.fromisoformat(at)
                except ValueError:
                    raise bad_cursor() from None
                if when.utcoffset() == timedelta() and not _UNSTORABLE.search(id_):
                    return cls(when, id_)
        raise bad_cursor()


@dataclass(frozen=True, slots=True)
class MessageCursor:
    """A place in a thread's messages: after the one at `position`, in the direction of the list."""

    position: int

    def encode(self) -> str:
        return encode_cursor(["m", self.position])

    @classmethod
    def decode(cls, token: str) -> "MessageCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match decode_cursor(token):
            case ["m", int(position)] if not isinstance(position, bool) and 0 <= position < 2**31:
                return cls(position)
        raise bad_cursor()


C = TypeVar("C")
"""A cursor: a place in a list."""


@dataclass(frozen=True, slots=True)
class PageRequest(Generic[C]):
    """`limit` items after the cursor; `descending` is newest first."""

    limit: int = DEFAULT_LIMIT
    after: C | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`after` is the cursor of the next page, None where there is none."""

    items: tuple[T, ...]
    after: str | None = None

    @property
    def has_more(self) -> bool:
        return self.after is not None


def encode_cursor(parts: list[object]) -> str:
    """`parts` are JSON, the first of them the kind of the list."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def decode_cursor(token: str) -> object:
    """The parts. Raises `InvalidField` for what `encode_cursor` cannot have made."""
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        raise bad_cursor() from None


def bad_cursor() -> InvalidField:
    """For a cursor that no list gave out, or whose place is no more."""
    return InvalidField("after", "is not a cursor that this list gave out")
