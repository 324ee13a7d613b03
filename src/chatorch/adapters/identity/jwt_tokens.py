"""Access tokens as JWTs (RFC 7519) in the profile of RFC 9068, signed with HS256, on PyJWT.

This service alone signs and verifies them, so a token is taken only if it looks exactly as `sign` makes it: the
header is the algorithm and the type and nothing else (no `crit`, no key of the token's own choice), and every claim
is there with its own type. There are two liberties, so that workers of two releases can run side by side: a scope that
this release does not know is left out, which never adds a right; and `gen` (a private claim: RFC 7519, 4.3), the
generation of the user, may be missing, as in the tokens of releases that did not know it.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Scope, UserId
from chatorch.ports.tokens import Claims, TokenSigner

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


class JwtTokenSigner(TokenSigner):
    """`secret` has at least 32 bytes (RFC 7518, 3.2); a secret that is shorter, or is somebody's public key, is refused
    with `ValueError`. The times `iat`, `nbf` and `exp` are NumericDates with a fraction.
    """

    def __init__(self, secret: str, *, issuer: str, audience: str) -> None:
        self._key = _checked_key(secret)
        self._issuer = issuer
        self._audience = audience
        # The times are compared with the `now` that is handed in: PyJWT looks at the system's clock only.
        self._jwt = jwt.PyJWT({"verify_exp": False, "verify_nbf": False, "verify_iat": False, "strict_aud": True})
        # Of a token that was verified once only the times can change: this saves 100 µs a request.
        self._payload_of = lru_cache(REMEMBERED_TOKENS)(self._verified_payload)

    def sign(self, claims: Claims) -> str:
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

    def verify(self, token: str, now: datetime) -> Claims:
        payload = self._payload_of(token)
        issued_at, not_before, expires_at = (_numeric_date(payload, name) for name in ("iat", "nbf", "exp"))
        moment = now.timestamp()
        if max(issued_at, not_before) > moment + LEEWAY_S or expires_at <= moment - LEEWAY_S:
            raise InvalidToken
        return Claims(
            user_id=UserId(_identifier(payload, "sub")),
            scopes=_scopes(payload),
            token_id=_identifier(payload, "jti"),
            issued_at=datetime.fromtimestamp(issued_at, UTC),
            expires_at=datetime.fromtimestamp(expires_at, UTC),
            generation=_generation(payload),
        )

    def _verified_payload(self, token: str) -> dict[str, Any]:
        # The padding that PyJWT tolerates is none of the format's (RFC 7515, 2).
        if len(token) > MAX_TOKEN_CHARS or not token.isascii() or "=" in token:
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
