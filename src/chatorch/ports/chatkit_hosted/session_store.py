"""The ledger of ChatKit sessions."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatorch.domain.model.chatkit_hosted.session import ClientSession, IssuedSession, SessionId, SessionStatus
from chatorch.domain.model.identity import UserId


@dataclass(frozen=True, slots=True)
class Activation:
    """A session as it is now, and the one before it where this transaction is what ended it."""

    session: ClientSession
    ended: ClientSession | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that was added; or, `joined`, the one for which the same secret was exchanged already.

    `ended` had to make room; they are now to be cancelled at the provider.
    """

    session: ClientSession
    joined: bool = False
    ended: tuple[ClientSession, ...] = ()


class ChatKitSessionStore(Protocol):
    """Every method is one transaction and raises `StoreUnavailable` when the store does not answer.

    How a row changes is said by the functions of `chatorch.domain.model.chatkit_hosted.session`. Of a user's rows one
    transaction at a time opens or revokes any: a session is either opened after a sign-out, or ended by it.
    """

    @abstractmethod
    async def begin(
        self, session: ClientSession, replaces: SessionId | None = None, *, limit: int | None = None
    ) -> Begun:
        """Adds it, as what replaced the one before; unless that has a successor that is `joinable`, which is returned.

        The successor is `shared` from then on. Raises `SessionGone` where the one before is no longer `refreshable`,
        and `TooManySessions`: `room_for` says when, for at most `limit` of a user's.
        """
        ...

    @abstractmethod
    async def activate(
        self,
        session_id: SessionId,
        issued: IssuedSession,
        now: datetime,
        replaces: SessionId | None = None,
        *,
        sealed_secret: str | None = None,
    ) -> Activation:
        """`activated`; and, where it is active now, `replaced` for the one before it. Raises `NotFound`."""
        ...

    @abstractmethod
    async def settle(self, session_id: SessionId, status: SessionStatus) -> None:
        """`settled`. A no-op where there is no such row."""
        ...

    @abstractmethod
    async def find(self, user_id: UserId, secret_hash: str) -> ClientSession | None:
        """This user's session with this secret."""
        ...

    @abstractmethod
    async def revoke(
        self, user_id: UserId, session_id: SessionId | None, now: datetime, *, unless_shared: bool = False
    ) -> tuple[ClientSession, ...]:
        """`revoked`, for one or all of a user's. Returns those that are now to be cancelled at the provider.

        Raises `NotFound` for one that is not this user's.
        """
        ...

    @abstractmethod
    async def sweep(self, now: datetime) -> tuple[ClientSession, ...]:
        """`tidied`, for a batch of those that need it. Returns those that are now to be cancelled at the provider.

        Any number of processes may call it at once: each row is returned to one of them.
        """
        ...
