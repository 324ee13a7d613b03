"""Access tokens as JWTs (RFC 7519) in the profile of RFC 9068, signed with HS256, on PyJWT.

This service alone signs and verifies them, so a token is taken only if it looks exactly as `issue` makes it: the
header is the algorithm and the type and nothing else (no `crit`, no key of the token's own choice), and every claim
is there with its own type. There are two liberties, so that workers of two releases can run side by side: a scope that
this release does not know is left out, which never adds a right; and `gen` (a private claim: RFC 7519, 4.3), the
generation of the user, may be missing, as in the tokens of releases that did not know it.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

import jwt
from jwt.algorithms import HMACAlgorithm

from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Credential, CredentialId, Scope, UserId
from chatorch.ports.credentials import CredentialVerifier
from chatorch.ports.tokens import Claims, TokenIssuer

ALGORITHM = "HS256"
HEADER = {"alg": ALGORITHM, "typ": "at+jwt"}
LEEWAY_S = 30.0
MIN_SECRET_BYTES = 32
MAX_TOKEN_CHARS = 4096
MAX_ID_CHARS = 255
MAX_GENERATION = 2**31 - 1
REMEMBERED_TOKENS = 1024
MAX_NUMERIC_DATE = datetime.max.replace(tzinfo=UTC).timestamp() - 1

_KNOWN_SCOPES = {scope.value: scope for scope in Scope}


class JwtTokens(TokenIssuer, CredentialVerifier):
    """Ours is what has the header of ours. `secret` has at least 32 bytes (RFC 7518, 3.2); a secret that is shorter,
    or is somebody's public key, is refused with `ValueError`. The times `iat`, `nbf` and `exp` are NumericDates with a
    fraction.
    """

    def __init__(self, secret: str, *, issuer: str, audience: str) -> None:
        self._key = _checked_key(secret)
        self._issuer = issuer
        self._audience = audience
        # The times are compared with the `now` that is handed in: PyJWT looks at the system's clock only.
        self._jwt = jwt.PyJWT({"verify_exp": False, "verify_nbf": False, "verify_iat": False, "strict_aud": True})
        # Of a token that was verified once only the times can change: this saves 100 µs a request.
        self._read = lru_cache(REMEMBERED_TOKENS)(self._read_once)

    def issue(self, claims: Claims) -> str:
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": claims.user_id,
            "iat": claims.issued_at.timestamp(),
            "nbf": claims.issued_at.timestamp(),
            "exp": claims.expires_at.timestamp(),
            "jti": claims.token_id,
            "scope": " ".join(sorted(claims.scopes)),
        }
        if claims.generation is not None:
            payload["gen"] = claims.generation
        return self._jwt.encode(payload, self._key, ALGORITHM, headers=HEADER)

    async def verify(self, credential: str, now: datetime) -> Credential | None:
        try:
            return self._read(credential).at(now).credential
        except InvalidToken:
            if self._is_ours(credential):
                raise
            return None

    async def revoked(self, ids: Collection[CredentialId]) -> Collection[CredentialId]:  # noqa: ARG002
        """None: a token ends with its time, or with its user's generation."""
        return ()

    def claims_of(self, token: str, now: datetime) -> Claims:
        """Raises `InvalidToken` unless every claim is there and right, the type and the algorithm are ours, and the
        token is valid at `now`, give or take 30 s of clock difference."""
        return self._read(token).at(now).claims

    def _read_once(self, token: str) -> "_Token":
        payload = self._verified_payload(token)
        issued_at, not_before, expires_at = (_numeric_date(payload, name) for name in ("iat", "nbf", "exp"))
        claims = Claims(
            user_id=UserId(_identifier(payload, "sub")),
            scopes=_scopes(payload),
            token_id=_identifier(payload, "jti"),
            issued_at=datetime.fromtimestamp(issued_at, UTC),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            generation=_generation(payload),
        )
        return _Token(claims, max(issued_at, not_before) - LEEWAY_S, expires_at + LEEWAY_S)

    def _verified_payload(self, token: str) -> dict[str, Any]:
        if not _may_be_jwt(token):
            raise InvalidToken
        try:
            decoded = self._jwt.decode_complete(
                token, self._key, [ALGORITHM], issuer=self._issuer, audience=self._audience
            )
        except jwt.PyJWTError:
            raise InvalidToken from None
        if decoded["header"] != HEADER:
            raise InvalidToken
        payload: dict[str, Any] = decoded["payload"]
        return payload

    def _is_ours(self, token: str) -> bool:
        """Whether it says of itself that it is: its body may be anybody's, and is not looked into."""
        try:
            return _may_be_jwt(token) and jwt.get_unverified_header(token) == HEADER
        except jwt.PyJWTError:
            return False


class _Token:
    """One of ours, as it is remembered: only whether its time has come, and is not over, has to be looked at again."""

    __slots__ = ("_from", "_until", "claims", "credential")

    def __init__(self, claims: Claims, from_: float, until: float) -> None:
        self.claims = claims
        since = claims.issued_at if claims.generation is None else claims.generation
        self.credential = Credential(claims.user_id, claims.scopes, claims.expires_at, since)
        self._from = from_
        self._until = until

    def at(self, now: datetime) -> Self:
        """Raises `InvalidToken` at a moment at which it is not valid."""
        if not self._from <= now.timestamp() < self._until:
            raise InvalidToken
        return self


def _may_be_jwt(token: str) -> bool:
    """The padding that PyJWT tolerates is none of the format's (RFC 7515, 2)."""
    return len(token) <= MAX_TOKEN_CHARS and token.isascii() and "=" not in token


def _checked_key(secret: str) -> bytes:
    key = secret.encode("utf-8", "surrogateescape")
    if len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"the secret must have at least {MIN_SECRET_BYTES} bytes")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except jwt.InvalidKeyError:
        raise ValueError("the secret must be random characters, not a key of another kind") from None


def _numeric_date(payload: dict[str, Any], name: str) -> float:
    value = payload.get(name)
    # The comparison also refuses NaN and the infinities, which Python's JSON reads.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise InvalidToken
    return value


def _generation(payload: dict[str, Any]) -> int | None:
    if "gen" not in payload:
        return None
    value = payload["gen"]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_GENERATION:
        raise InvalidToken
    return value


def _identifier(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS or not value.isprintable():
        raise InvalidToken
    return value


def _scopes(payload: dict[str, Any]) -> frozenset[Scope]:
    value = payload.get("scope")
    if not isinstance(value, str):
        raise InvalidToken
    return frozenset(_KNOWN_SCOPES[name] for name in value.split(" ") if name in _KNOWN_SCOPES)
