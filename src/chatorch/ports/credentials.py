"""Telling whose a credential is."""

from abc import abstractmethod
from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from chatorch.domain.model.identity import Credential, CredentialId


class CredentialVerifier(Protocol):
    """One kind of credential: our own tokens, keys of an API, tokens of somebody else's.

    Whether its user is there and not disabled is not asked here. Both methods raise `Unavailable` where nobody can tell
    now.
    """

    @abstractmethod
    async def verify(self, credential: str, now: datetime) -> Credential | None:
        """What the credential says. None where it is not of this kind, so that the next verifier is asked.

        Raises `InvalidToken` for one of this kind that is no good, or whose time is over, give or take 30 s of clock
        difference; then no other verifier is asked. `credential` is any text of any length, `now` aware UTC. Asked for
        each request, so what takes long must be remembered.
        """
        ...

    @abstractmethod
    async def revoked(self, ids: Collection[CredentialId]) -> Collection[CredentialId]:
        """Those that count no more although their users do; of other verifiers' ids, none.

        Asked every two seconds for those with which something goes on. Empty where no credential is revoked by itself.
        """
        ...
