"""Pages of a list, and the opaque cursors between them."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from chatorch.domain.model.chatkit_hosted.history import is_hosted_id
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
        return _encode(["t", self.updated_at.astimezone(UTC).isoformat(), self.id])

    @classmethod
    def decode(cls, token: str) -> "ThreadCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match _decode(token):
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
        return _encode(["m", self.position])

    @classmethod
    def decode(cls, token: str) -> "MessageCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match _decode(token):
            case ["m", int(position)] if not isinstance(position, bool) and 0 <= position < 2**31:
                return cls(position)
        raise bad_cursor()


@dataclass(frozen=True, slots=True)
class HostedCursor:
    """A place in a list that the provider keeps: after the thing of this id."""

    id: str

    def encode(self) -> str:
        return _encode(["h", self.id])

    @classmethod
    def decode(cls, token: str) -> "HostedCursor":
        """Raises `InvalidField` for anything that `encode` did not make."""
        match _decode(token):
            case ["h", str(id_)] if is_hosted_id(id_):
                return cls(id_)
        raise bad_cursor()


C = TypeVar("C", ThreadCursor, MessageCursor, HostedCursor)


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


def _encode(parts: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decode(token: str) -> object:
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        raise bad_cursor() from None


def bad_cursor() -> InvalidField:
    """For a cursor that no list gave out, or whose place is no more."""
    return InvalidField("after", "is not a cursor that this list gave out")
