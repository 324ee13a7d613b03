"""Who is there: users and the principals that act for them."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chatorch.domain.model.errors import InvalidField

UserId = NewType("UserId", str)

MAX_USERNAME_CHARS = 64


class Scope(StrEnum):
    """What an access token allows. A token's `scope` claim is these, separated by spaces (RFC 8693, 4.2)."""

    CHAT = "chat"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. `username` is canonical; `password_hash` is a PHC string."""

    id: UserId
    username: str
    password_hash: str
    scopes: frozenset[Scope]
    disabled: bool
    created_at: datetime
    password_changed_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf something is done. A guest has an id of its own for each request, so owns nothing later."""

    user_id: UserId
    username: str
    scopes: frozenset[Scope]
    guest: bool = False


def canonical_username(raw: str) -> str:
    """The one spelling under which a name is stored and compared: NFKC, case-folded, trimmed.

    Raises `InvalidField` when nothing printable of at most 64 characters is left.
    """
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold()).strip()
    if not name or len(name) > MAX_USERNAME_CHARS or not name.isprintable():
        raise InvalidField("username", f"must be 1 to {MAX_USERNAME_CHARS} printable characters")
    return name
