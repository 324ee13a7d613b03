"""Signing in: a token for a user name and a password."""

from dataclasses import dataclass
from datetime import timedelta

from chatorch.domain.model.errors import InvalidField, InvalidGrant
from chatorch.domain.model.identity import Scope, User, canonical_username, password_spellings
from chatorch.domain.services.identity.attempts import Attempts
from chatorch.ports.passwords import PasswordHasher
from chatorch.ports.system import Clock, IdFactory
from chatorch.ports.tokens import Claims, TokenIssuer
from chatorch.ports.users import UserStore

NO_HASH = ""
"""Verified in place of the hash of who has none, or is not there, so that it takes the same time."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token; `expires_in` in seconds."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]


class SignIn:
    """Tokens for passwords. `token_life_s` is in seconds."""

    def __init__(
        self,
        *,
        users: UserStore,
        passwords: PasswordHasher,
        tokens: TokenIssuer,
        clock: Clock,
        ids: IdFactory,
        attempts: Attempts,
        token_life_s: int,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._clock = clock
        self._ids = ids
        self._attempts = attempts
        self._token_life_s = token_life_s

    async def by_password(self, username: str, password: str, address: str | None = None) -> Grant:
        """Raises `InvalidGrant`, the same and after the same work whether the name or the password is wrong, or the
        user has none.

        `TooManyAttempts`, also for a right one, where there were too many wrong ones for the name or from `address`.
        """
        name = _canonical(username)
        async with self._attempts.turn(name or "", address) as attempt:
            user = await self._users.by_username(name) if name is not None else None
            right = await self._fits(password, user)
            if user is None or not right or user.disabled:
                self._attempts.wrong(attempt)
                raise InvalidGrant
            self._attempts.right(attempt)
        return self._grant(user)

    def _grant(self, user: User) -> Grant:
        now = self._clock.now()
        expires_at = now + timedelta(seconds=self._token_life_s)
        claims = Claims(user.id, user.scopes, self._ids.new("tok"), now, expires_at, user.generation)
        return Grant(self._tokens.issue(claims), self._token_life_s, user.scopes)

    async def _fits(self, password: str, user: User | None) -> bool:
        password_hash = (user.password_hash if user is not None else None) or NO_HASH
        right = False
        for spelling in password_spellings(password):  # all of them, or the time would tell that one was right
            right |= await self._passwords.verify(password_hash, spelling)
        return right


def _canonical(username: str) -> str | None:
    """None for what nobody can be called."""
    try:
        return canonical_username(username)
    except InvalidField:
        return None
