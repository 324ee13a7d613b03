"""One issued ChatKit client secret, as the ledger keeps it: never the secret itself, only its hash.

::

    opening ─┬─ active ── cancelling ── cancelled      cancelling: not to be used, the provider does not know yet
             ├─ cancelling                             (signed out while it was opened)
             ├─ refused                                the provider said no: there is nothing
             └─ lost                                   no answer: it may exist, and nobody has its secret
    active, cancelling and lost become `expired` once their time is over

Every change is a pure function of the row; a store applies it to a row that it holds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from chatorch.domain.model.chatkit_hosted.errors import TooManySessions
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.sealing import sealed, unsealed

SessionId = NewType("SessionId", str)

OPENING_LIMIT = timedelta(seconds=60)
"""No provider is waited for as long as this: what is still being opened then was left by a process that died."""
CLAIM = timedelta(seconds=30)
"""How long whoever cancels a session at the provider has, before somebody else tries."""
KEPT = timedelta(days=1)
"""How long the ledger keeps what is over."""
RATE_WINDOW = timedelta(minutes=1)
"""A user opens at most as many sessions in it as there may be at once: each is asked of the provider."""
MARGIN_S = 30.0
"""A client comes back so long before the end, or a fifth of the session's life before it, whichever is earlier."""


class SessionStatus(StrEnum):
    OPENING = "opening"
    ACTIVE = "active"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    LOST = "lost"
    REFUSED = "refused"
    EXPIRED = "expired"


OVER = frozenset({SessionStatus.CANCELLED, SessionStatus.REFUSED, SessionStatus.EXPIRED})

_SETTLED_FROM = {
    SessionStatus.REFUSED: frozenset({SessionStatus.OPENING, SessionStatus.CANCELLING}),
    SessionStatus.LOST: frozenset({SessionStatus.OPENING}),
    SessionStatus.CANCELLED: frozenset(SessionStatus) - OVER,
}


class ClientSecret:
    """What authenticates a browser at the provider. Shown by `reveal` only: neither `repr` nor `str` holds it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def hashed(self) -> str:
        """SHA-256 in hex. Without salt: a secret is long and random, and a session is looked up by it."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def __repr__(self) -> str:
        return "ClientSecret(…)"


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """What the provider gave out. `id` is its own name for the session."""

    id: str
    secret: ClientSecret
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ClientSession:
    """A row of the ledger. `upstream_id` and `secret_hash` are there once the provider has answered.

    `expires_at` is, before that, the latest moment at which what may have been created expires. `refreshable`: its
    secret may still be exchanged for another session. `retry_at`: from when on anybody may cancel it at the provider.

    `replaced_by` is what its secret was last exchanged for; that one's `sealed_secret` can be read with this one's
    secret only. `shared`: somebody else than who began it waits for it, or has it. `generation` is its user's.
    """

    id: SessionId
    user_id: UserId
    workflow_id: str
    status: SessionStatus
    created_at: datetime
    expires_at: datetime
    retry_at: datetime
    upstream_id: str | None = None
    secret_hash: str | None = None
    refreshable: bool = False
    replaced_by: SessionId | None = None
    sealed_secret: str | None = None
    shared: bool = False
    generation: int | None = None

    @property
    def joinable(self) -> bool:
        """Who comes with the secret that it replaced gets this one, waits for it, or goes on to what replaced it."""
        if self.status is SessionStatus.OPENING:
            return True
        replaced_itself = self.refreshable and self.replaced_by is not None
        return self.sealed_secret is not None and (self.status is SessionStatus.ACTIVE or replaced_itself)

    def secret(self, before: ClientSecret) -> ClientSecret | None:
        """Its own, for who holds the one that it replaced."""
        opened = unsealed(self.sealed_secret or "", under=before.reveal(), purpose=self.id)
        return None if opened is None else ClientSecret(opened)

    def to_be_cancelled(self, now: datetime) -> bool:
        """At the provider, where it is still good for something."""
        return self.status is SessionStatus.CANCELLING and self.upstream_id is not None and now < self.expires_at


def opening(
    session_id: SessionId,
    user_id: UserId,
    workflow_id: str,
    now: datetime,
    life: timedelta,
    *,
    generation: int | None = None,
) -> ClientSession:
    expires_at = now + OPENING_LIMIT + life
    session = ClientSession(session_id, user_id, workflow_id, SessionStatus.OPENING, now, expires_at, now)
    return replace(session, generation=generation)


def room_for(
    session: ClientSession, others: Sequence[ClientSession], latest: Sequence[datetime], limit: int
) -> tuple[ClientSession, ...]:
    """Those of the user's `others` that must end so that there are no more than `limit`: the oldest, made `revoked`.

    One that is just being replaced counts no more. `latest`: when sessions were begun within `RATE_WINDOW`. Raises
    `TooManySessions` where these are too many, or where none of the others is there yet.
    """
    now = session.created_at
    if len(latest) >= limit:
        raise TooManySessions(retry_after=(sorted(latest)[-limit] + RATE_WINDOW - now).total_seconds())
    live = [one for one in others if one.expires_at > now]
    coming = {one.id for one in live if one.status is SessionStatus.OPENING}
    live = [one for one in live if one.replaced_by not in coming]
    active = sorted((one for one in live if one.status is SessionStatus.ACTIVE), key=lambda one: one.created_at)
    too_many = max(len(live) + 1 - limit, 0)
    if too_many > len(active):
        raise TooManySessions
    return tuple(revoked(one, now) for one in active[:too_many])


def sealed_for(secret: ClientSecret, session_id: SessionId, before: ClientSecret) -> str:
    """The secret of a session, for who holds the secret that it replaces."""
    return sealed(secret.reveal(), under=before.reveal(), purpose=session_id)


def activated(
    session: ClientSession,
    issued: IssuedSession,
    now: datetime,
    *,
    replaces: ClientSession | None = None,
    sealed_secret: str | None = None,
) -> ClientSession:
    """Active; or to be cancelled, by whoever asks, where it, or the one that it replaces, was given up meanwhile."""
    known = replace(
        session,
        upstream_id=issued.id,
        secret_hash=issued.secret.hashed(),
        expires_at=issued.expires_at,
        sealed_secret=sealed_secret,
    )
    if session.status is SessionStatus.OPENING and (replaces is None or replaces.refreshable):
        return replace(known, status=SessionStatus.ACTIVE, refreshable=True)
    return replace(known, status=SessionStatus.CANCELLING, refreshable=False, retry_at=now + CLAIM)


def replaced(session: ClientSession, now: datetime) -> ClientSession:
    """To be cancelled, by whoever asks; another tab may still come with its secret."""
    if session.status is not SessionStatus.ACTIVE:
        return session
    return replace(session, status=SessionStatus.CANCELLING, retry_at=now + CLAIM)


def revoked(session: ClientSession, now: datetime) -> ClientSession:
    """To be cancelled, by whoever asks, and no longer to be exchanged."""
    live = session.status in {SessionStatus.OPENING, SessionStatus.ACTIVE, SessionStatus.CANCELLING}
    if not live:
        return replace(session, refreshable=False)
    return replace(session, status=SessionStatus.CANCELLING, refreshable=False, retry_at=now + CLAIM)


def settled(session: ClientSession, status: SessionStatus) -> ClientSession:
    """Refused, lost or cancelled; as it was, where that cannot be any more."""
    return replace(session, status=status) if session.status in _SETTLED_FROM[status] else session


def tidied(session: ClientSession, now: datetime, *, access_lost: bool) -> ClientSession | None:
    """What time, and who disabled its user or changed the password, made of it; None: it need not be kept.

    One whose `retry_at` has moved is to be cancelled at the provider, by whoever asked.
    """
    if session.status in OVER:
        return None if session.expires_at + KEPT <= now else session
    if session.status is SessionStatus.OPENING:
        return settled(session, SessionStatus.LOST) if session.created_at + OPENING_LIMIT <= now else session
    if session.expires_at <= now:
        return replace(session, status=SessionStatus.EXPIRED)
    if session.status is SessionStatus.ACTIVE and access_lost:
        return revoked(session, now)
    if session.to_be_cancelled(now) and session.retry_at <= now:
        return replace(session, retry_at=now + CLAIM)
    return session


def refresh_at(session: ClientSession) -> datetime:
    """When its client should come back."""
    life = (session.expires_at - session.created_at).total_seconds()
    margin = max(min(MARGIN_S, life / 2), life / 5, 0.0)
    return session.expires_at - timedelta(seconds=margin)
