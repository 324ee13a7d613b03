"""Signing in, and knowing whose token it is."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatorch.domain.model.errors import InvalidField, InvalidGrant, InvalidToken
from chatorch.domain.model.identity import (
    GUEST,
    Principal,
    Scope,
    User,
    UserId,
    canonical_username,
    password_spellings,
)
from chatorch.domain.services.identity.attempts import Attempts
from chatorch.ports.passwords import PasswordHasher
from chatorch.ports.system import Clock, IdFactory
from chatorch.ports.tokens import Claims, TokenSigner
from chatorch.ports.users import UserStore

USER_CACHE_S = 2.5
"""Less than 5 s, so that what was begun with a token at its last moment still ends in time (`revocation`)."""

USER_CACHE_SIZE = 10_000

NO_HASH = ""
"""Verified in place of an unknown user's hash, so that it takes the same time."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token; `expires_in` in seconds."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """A principal and the token that it came with, for who stays longer than a request."""

    principal: Principal
    expires_at: datetime


class Authentication:
    """Tokens for passwords, and principals for tokens. `token_life_s` is in seconds.

    A token is good for at most 5 s after its user was disabled or got a new password. Which of them it was given out
    before, the user's generation says, and no clock.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        passwords: PasswordHasher,
        tokens: TokenSigner,
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
        self._known: dict[UserId, tuple[float, User | None]] = {}

    async def sign_in(self, username: str, password: str, address: str | None = None) -> Grant:
        """Raises `InvalidGrant`, the same and after the same work whether the name or the password is wrong.

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
        now = self._clock.now()
        expires_at = now + timedelta(seconds=self._token_life_s)
        claims = Claims(user.id, user.scopes, self._ids.new("tok"), now, expires_at, user.generation)
        return Grant(self._tokens.sign(claims), self._token_life_s, user.scopes)

    async def verify(self, token: str) -> Principal:
        """The principal that a token speaks for. Raises `InvalidToken`, `StoreUnavailable`."""
        return (await self.verify_until(token)).principal

    async def verify_until(self, token: str) -> Verified:
        """The same, and how long it is good for."""
        claims = self._tokens.verify(token, self._clock.now())
        user = await self._user(claims.user_id, claims.generation or 0)
        if user is None or not _takes(user, claims):
            raise InvalidToken
        principal = Principal(user.id, user.username, claims.scopes & user.scopes, generation=user.generation)
        return Verified(principal, claims.expires_at)

    async def revoked(self, held: Collection[Verified]) -> list[Verified]:
        """Those whose user is disabled, or got a new password, by now. Raises `StoreUnavailable`."""
        out = await self.shut_out({one.principal for one in held})
        return [one for one in held if one.principal in out]

    async def shut_out(self, principals: Collection[Principal]) -> set[Principal]:
        """Those whose token counts no more, by one look at all of them. Raises `StoreUnavailable`."""
        began = self._clock.monotonic()
        user_ids = {principal.user_id for principal in principals}
        users = await self._users.by_ids(user_ids)
        for user_id in user_ids & self._known.keys():
            self._known[user_id] = (began, users.get(user_id))
        return {principal for principal in principals if _lost(principal, users.get(principal.user_id))}

    def guest(self, address: str | None = None) -> Principal:
        """Somebody without an account, for one request."""
        return Principal(UserId(self._ids.new(GUEST)), "guest", frozenset({Scope.CHAT}), guest=True, address=address)

    async def _fits(self, password: str, user: User | None) -> bool:
        password_hash, right = user.password_hash if user else NO_HASH, False
        for spelling in password_spellings(password):  # all of them, or the time would tell that one was right
            right |= await self._passwords.verify(password_hash, spelling)
        return right

    async def _user(self, user_id: UserId, generation: int) -> User | None:
        """At most `USER_CACHE_S` old, and never older than a token of that generation."""
        now = self._clock.monotonic()
        known = self._known.get(user_id)
        if known is not None and now - known[0] < USER_CACHE_S:
            user = known[1]
            if user is None or user.generation >= generation:
                return user
        user = await self._users.by_id(user_id)
        if len(self._known) >= USER_CACHE_SIZE:
            self._known.clear()
        self._known[user_id] = (now, user)
        return user


def _lost(principal: Principal, user: User | None) -> bool:
    """Whether the token that this principal came with no longer counts."""
    return user is None or user.disabled or user.generation != principal.generation


def _takes(user: User, claims: Claims) -> bool:
    """Whether a token still speaks for this user.

    Of one without a generation its time must tell, as it did for the release that made it. There are none any more
    once that release has been gone for the life of a token.
    """
    if user.disabled:
        return False
    if claims.generation is None:
        return claims.issued_at >= user.password_changed_at
    return claims.generation == user.generation


def _canonical(username: str) -> str | None:
    """None for what nobody can be called."""
    try:
        return canonical_username(username)
    except InvalidField:
        return None
