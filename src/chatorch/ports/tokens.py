"""Access tokens."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatorch.domain.model.identity import Scope, UserId


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. Times are aware UTC; `issued_at` has sub-second precision.

    `generation` is its user's; None in a token of a release that had none.
    """

    user_id: UserId
    scopes: frozenset[Scope]
    token_id: str
    issued_at: datetime
    expires_at: datetime
    generation: int | None = None


class TokenSigner(Protocol):
    @abstractmethod
    def sign(self, claims: Claims) -> str: ...

    @abstractmethod
    def verify(self, token: str, now: datetime) -> Claims:
        """Raises `InvalidToken` unless every claim is there and right, the type and the algorithm are ours, and the
        token is valid at `now`, give or take 30 s of clock difference."""
        ...
