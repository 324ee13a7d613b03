"""A way to say who one is that the project does not have: keys that never run out, and can be revoked one by one."""

from collections.abc import Collection
from datetime import datetime

from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Credential, CredentialId, Scope, UserId
from chatorch.ports.credentials import CredentialVerifier

PREFIX = "key_"


class ApiKeys(CredentialVerifier):
    """`asked` are the credentials that came this far; `failure` is what both methods raise instead.

    It says when keys end (`expires_at`), and does not look at it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.expires_at: datetime | None = None
        self._users: dict[str, UserId] = {}
        self._revoked: set[str] = set()

    def give(self, name: str, user_id: str) -> str:
        self._users[PREFIX + name] = UserId(user_id)
        return PREFIX + name

    def revoke(self, key: str) -> None:
        self._revoked.add(key)

    async def verify(self, credential: str, now: datetime) -> Credential | None:
        self.asked.append(credential)
        if not credential.startswith(PREFIX):
            return None
        if self.failure is not None:
            raise self.failure
        if credential not in self._users or credential in self._revoked:
            raise InvalidToken
        return Credential(
            self._users[credential], frozenset({Scope.CHAT}), self.expires_at, id=CredentialId(credential)
        )

    async def revoked(self, ids: Collection[CredentialId]) -> Collection[CredentialId]:
        if self.failure is not None:
            raise self.failure
        return self._revoked & set(ids)
