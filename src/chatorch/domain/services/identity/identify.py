"""Knowing whose credential this is, and when it counts no more."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatorch.domain.model.errors import InvalidToken, StoreUnavailable
from chatorch.domain.model.identity import GUEST, Credential, CredentialId, Principal, Scope, User, UserId
from chatorch.ports.credentials import CredentialVerifier
from chatorch.ports.system import Clock, IdFactory
from chatorch.ports.telemetry import RunTelemetry
from chatorch.ports.users import UserStore

USER_CACHE_S = 2.5
"""Less than 5 s, so that what was begun with a token at its last moment still ends in time (`revocation`)."""

USER_CACHE_SIZE = 10_000
LEEWAY = timedelta(seconds=30)
"""For clocks that differ: so long after its time a credential still begins something."""
WHAT = "the search for revoked credentials"


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """A principal, and until when its credential is good, for who stays longer than a request. None: until revoked."""

    principal: Principal
    expires_at: datetime | None

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Identify:
    """Principals for credentials. `verifiers` are asked in their order, until one knows the credential.

    One is good for at most 5 s after its user was disabled, or got a new password where that ends it. Which of them it
    was given out before, the user's generation says, and no clock.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        verifiers: Sequence[CredentialVerifier],
        clock: Clock,
        ids: IdFactory,
        telemetry: RunTelemetry,
    ) -> None:
        self._users = users
        self._verifiers = tuple(verifiers)
        self._clock = clock
        self._ids = ids
        self._telemetry = telemetry
        self._known: dict[UserId, tuple[float, User | None]] = {}

    async def principal(self, credential: str) -> Principal:
        """Whom it speaks for. Raises `InvalidToken`, `Unavailable`."""
        return (await self.holder(credential)).principal

    async def holder(self, credential: str) -> Identified:
        """The same, and how long it is good for."""
        now = self._clock.now()
        for verifier in self._verifiers:
            found = await verifier.verify(credential, now)
            if found is not None:
                if found.expires_at is not None and found.expires_at + LEEWAY <= now:
                    raise InvalidToken
                return Identified(await self._holder_of(found), found.expires_at)
        raise InvalidToken

    def guest(self, address: str | None = None) -> Principal:
        """Somebody without an account, for one request."""
        return Principal(UserId(self._ids.new(GUEST)), "guest", frozenset({Scope.CHAT}), guest=True, address=address)

    async def revoked(self, held: Collection[Identified]) -> list[Identified]:
        """Those whose credential counts no more, though its time may not be over. Raises `StoreUnavailable`."""
        out = await self.shut_out({one.principal for one in held})
        return [one for one in held if one.principal in out]

    async def shut_out(self, principals: Collection[Principal]) -> set[Principal]:
        """Those whose credential counts no more, by one look at all of their users. Raises `StoreUnavailable`."""
        began = self._clock.monotonic()
        user_ids = {principal.user_id for principal in principals}
        users = await self._users.by_ids(user_ids)
        for user_id in user_ids & self._known.keys():
            self._known[user_id] = (began, users.get(user_id))
        out = {principal for principal in principals if _lost(principal, users.get(principal.user_id))}
        ids = {principal.credential_id for principal in principals if principal.credential_id is not None}
        if ids:
            gone = await self._revoked_ids(ids)
            out.update(principal for principal in principals if principal.credential_id in gone)
        return out

    async def _revoked_ids(self, ids: Collection[CredentialId]) -> set[CredentialId]:
        """A verifier that cannot tell keeps nobody: who is known to be shut out is, all the same."""
        gone: set[CredentialId] = set()
        for verifier in self._verifiers:
            try:
                gone.update(await verifier.revoked(ids))
            except StoreUnavailable as error:
                self._telemetry.store_unavailable(WHAT, error)
            except Exception as error:
                self._telemetry.failed(WHAT, error)
        return gone

    async def _holder_of(self, found: Credential) -> Principal:
        since = found.since
        user = await self._user(found.user_id, since if isinstance(since, int) else 0)
        if user is None or user.disabled or not _counts(found, user):
            raise InvalidToken
        return Principal(
            user.id,
            user.username,
            found.scopes & user.scopes,
            generation=None if since is None else user.generation,
            credential_id=found.id,
            tools=user.tools,
        )

    async def _user(self, user_id: UserId, generation: int) -> User | None:
        """At most `USER_CACHE_S` old, and never older than a credential of that generation."""
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
    """Whether the credential that this principal came with no longer counts, by what its user is now."""
    return user is None or user.disabled or principal.generation not in (None, user.generation)


def _counts(found: Credential, user: User) -> bool:
    """Whether the user has had no other password since.

    Of a token of ours without a generation its time must tell, as it did for the release that made it. There are none
    any more once that release has been gone for the life of a token.
    """
    match found.since:
        case None:
            return True
        case int():
            return found.since == user.generation
    return found.since >= user.password_changed_at
