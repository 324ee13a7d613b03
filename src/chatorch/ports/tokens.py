"""Access tokens that this service gives out."""

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


class TokenIssuer(Protocol):
    @abstractmethod
    def issue(self, claims: Claims) -> str:
        """A token that says this, in printable ASCII. Some `CredentialVerifier` of the service takes it."""
        ...
