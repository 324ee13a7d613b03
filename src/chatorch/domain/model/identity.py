"""Who is there: users and the principals that act for them."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from chatorch.domain.model.errors import InvalidField

UserId = NewType("UserId", str)
CredentialId = NewType("CredentialId", str)

GUEST = "gst"
"""What the ids of guests begin with, and no user's."""

MAX_USERNAME_CHARS = 64
GENERATION_STEP = 2**16
"""By how much a generation rises at most; how much, chance says. In a database that was restored from a backup, the
numbers that were given out since must not come again."""

MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1024


class Scope(StrEnum):
    """What an access token allows. A token's `scope` claim is these, separated by spaces (RFC 8693, 4.2)."""

    CHAT = "chat"
    ADMIN = "admin"


CHAT_ALONE = frozenset({Scope.CHAT})
"""What every credential allows at least."""


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. `username` is canonical; `password_hash` is a PHC string.

    Who has no password has no hash, and signs in by other means. `generation` rises with whatever ends the tokens that
    were given out so far. `tools` are rules for which tools this one may use (`chatorch.domain.model.tool_policy`);
    with None it is those that everybody may.
    """

    id: UserId
    username: str
    password_hash: str | None
    scopes: frozenset[Scope]
    disabled: bool
    created_at: datetime
    password_changed_at: datetime
    generation: int = 0
    tools: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """What is known of a credential that was verified: a token, a key, whatever a client brings for each request.

    `scopes` are what it allows, of those that its user has. It counts until `expires_at`, or with None until something
    ends it: its user is disabled; its verifier says that `id` is revoked; or, where `since` is there, its user gets
    another password. `since` is the user's generation when it was given out, or, where nobody knows that any more, the
    time. Times are aware UTC.
    """

    user_id: UserId
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    since: int | datetime | None = None
    id: CredentialId | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf something is done. A guest has an id of its own for each request, so owns nothing later.

    `generation` is the user's when the credential was given out, None where that outlives a password; `credential_id`
    says which one it is, where it can be revoked by itself. `address` is the IP address that a guest came from, where
    it is known. `tools` are the user's.
    """

    user_id: UserId
    username: str
    scopes: frozenset[Scope]
    guest: bool = False
    generation: int | None = 0
    address: str | None = None
    credential_id: CredentialId | None = None
    tools: tuple[str, ...] | None = None


def is_guest(user_id: UserId) -> bool:
    """Whether what is owned by this id is a guest's, long after the request."""
    return user_id.startswith(f"{GUEST}_")


def canonical_username(raw: str) -> str:
    """The one spelling under which a name is stored and compared: NFKC, case-folded, trimmed.

    Raises `InvalidField` when nothing printable of at most 64 characters is left.
    """
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold()).strip()
    if not name or len(name) > MAX_USERNAME_CHARS or not name.isprintable():
        raise InvalidField("username", f"must be 1 to {MAX_USERNAME_CHARS} printable characters")
    return name


def canonical_password(raw: str) -> str:
    """The one spelling of which a hash is made: NFC, so that it is the same password on every keyboard.

    Raises `InvalidField` for one that is too short, no text, or too long as it was given: to normalise takes time that
    grows with the square of the length, and is taken before anybody is known.
    """
    password = unicodedata.normalize("NFC", raw[:MAX_PASSWORD_CHARS])  # a long one could take long
    if len(raw) > MAX_PASSWORD_CHARS or len(password) < MIN_PASSWORD_CHARS:
        raise InvalidField("password", f"must be {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    if "\0" in password or any("\ud800" <= char <= "\udfff" for char in password):
        raise InvalidField("password", "must be text without NUL")
    return password


def password_spellings(raw: str) -> tuple[str, ...]:
    """All that may have been hashed when this password was set: hashes of before NFC are of what a client sent.

    How many these are follows from `raw` alone.
    """
    return tuple(dict.fromkeys((unicodedata.normalize("NFC", raw), raw, unicodedata.normalize("NFD", raw))))
