"""What comes from outside as an access token, and does not get in."""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Scope, UserId
from chatorch.ports.tokens import Claims

MUTANTS = 5000
NOW = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=UTC)
SECRET = "0123456789abcdef0123456789abcdef"
CLAIMS = Claims(UserId("usr_1"), frozenset({Scope.CHAT}), "tok_1", NOW, NOW + timedelta(minutes=30))
SIGNER = JwtTokens(SECRET, issuer="chatorch", audience="chatorch-api")
TOKEN = SIGNER.issue(CLAIMS)
HEADER = {"alg": "HS256", "typ": "at+jwt"}
PAYLOAD = {
    "iss": "chatorch",
    "aud": "chatorch-api",
    "sub": "usr_1",
    "iat": NOW.timestamp(),
    "nbf": NOW.timestamp(),
    "exp": NOW.timestamp() + 1800,
    "jti": "tok_1",
    "scope": "chat",
}
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----\n"
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forge(header: Any = HEADER, payload: Any = PAYLOAD, *, key: str = SECRET, digest: str = "sha256") -> str:
    """A token made by hand; `header` and `payload` are JSON, or bytes to put there as they are."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(hmac.digest(key.encode(), signed.encode(), digest))}"


def is_in(token: str, now: datetime = NOW) -> bool:
    """Whether it is accepted; anything but an `InvalidToken` goes through and fails the test."""
    try:
        SIGNER.claims_of(token, now)
    except InvalidToken:
        return False
    return True


def without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}


# -- the mutants ---------------------------------------------------------------------------------------------------

Dice = random.Random


def alg_none(dice: Dice) -> str:
    spelling = "".join(dice.choice((c.upper(), c)) for c in "none")
    head, body, signature = forge({**HEADER, "alg": dice.choice([spelling, "", None, "none "])}).split(".")
    return f"{head}.{body}.{dice.choice(['', signature, TOKEN.split('.')[2]])}"


def other_algorithm(dice: Dice) -> str:
    digest = dice.choice(["sha256", "sha384", "sha512"])
    algs = ["RS256", "ES256", "PS256", "EdDSA", "hs256", "HS384", "HS512", "HS1", ["HS256"], {"HS256": 1}, 256, True]
    alg = dice.choice(algs)
    header = dice.choice([{**HEADER, "alg": alg}, {"typ": "at+jwt"}])
    return forge(header, key=dice.choice([SECRET, PUBLIC_KEY]), digest=digest)


def other_key(dice: Dice) -> str:
    some = "".join(dice.choice(BASE64URL) for _ in range(dice.randrange(1, 80)))
    return forge(key=dice.choice(["", PUBLIC_KEY, SECRET[:-1], SECRET + " ", SECRET.upper(), some]))


def other_type(dice: Dice) -> str:
    types = ["JWT", "jwt", "AT+JWT", "at+jwt ", "application/at+jwt", "rt+jwt", "id+jwt", "", None, 1, True, ["at+jwt"]]
    return forge(dice.choice([{**HEADER, "typ": dice.choice(types)}, {"alg": "HS256"}]))


def more_in_the_header(dice: Dice) -> str:
    crit = dice.choice([[], ["exp"], ["b64"], ["typ"], "exp", None, {}, 1, [["exp"]]])
    more = [{"crit": crit}, {"crit": ["b64"], "b64": dice.choice([True, False])}, {"b64": False}, {"kid": "../../key"}]
    keys = [{"jwk": {"kty": "oct", "k": b64(b"k" * 32)}}, {"jku": "http://x"}, {"x5u": "http://x"}, {"kid": 1}]
    return forge({**HEADER, **dice.choice(more + keys)}, key=dice.choice([SECRET, SECRET, "k" * 32]))


def missing_claim(dice: Dice) -> str:
    gone = dice.choice(list(PAYLOAD))
    return forge(payload=dice.choice([without(PAYLOAD, gone), {**PAYLOAD, gone: None}]))


def wrong_claim(dice: Dice) -> str:
    numbers = [True, False, "1", f"{NOW.timestamp()}", [], {}, -1, -1e-9, 1e999, -1e999, float("nan"), 10**400, 1e300]
    texts = ["", 1, 1.5, True, [], {}, ["chatorch"], ["chatorch-api"], ["usr_1"], "\0", "a\ud800", "x\n", "x" * 256]
    claim = dice.choice(list(PAYLOAD))
    if claim in ("iat", "nbf", "exp"):
        return forge(payload={**PAYLOAD, claim: dice.choice(numbers)})
    if dice.random() < 0.1:
        return forge(payload={**PAYLOAD, "gen": dice.choice([*numbers, 1.0, 2**31, None, ["1"]])})
    if claim == "scope":
        return forge(payload={**PAYLOAD, claim: dice.choice([1, True, ["chat"], {"chat": 1}])})
    return forge(payload={**PAYLOAD, claim: dice.choice(texts)})


def foreign_claim(dice: Dice) -> str:
    claim = dice.choice(["iss", "aud"])
    value = PAYLOAD[claim]
    others = [value.upper(), value + " ", value + "/", "https://" + value, value[:-1], [value], [value, "x"], "x"]
    return forge(payload={**PAYLOAD, claim: dice.choice(others)})


def changed_byte(dice: Dice) -> str:
    place = dice.randrange(len(TOKEN))
    return TOKEN[:place] + dice.choice((BASE64URL + ".=+/ ").replace(TOKEN[place], "")) + TOKEN[place + 1 :]


def changed_bit(dice: Dice) -> str:
    parts = [bytearray(unb64(part)) for part in TOKEN.split(".")]
    part = dice.choice(parts)
    part[dice.randrange(len(part))] ^= 1 << dice.randrange(8)
    return ".".join(b64(bytes(part)) for part in parts)


def rearranged(dice: Dice) -> str:
    parts = TOKEN.split(".")
    others = [parts[:2], parts[1:], [*parts, ""], [*parts, parts[2]], parts[::-1], ["", *parts], [*parts[:2], ""]]
    edges = [TOKEN + "=", TOKEN + "\n", " " + TOKEN, TOKEN[:-1], TOKEN + "A", TOKEN + TOKEN, TOKEN * 50, TOKEN + "==="]
    return dice.choice([".".join(other) for other in others] + edges + [TOKEN[: dice.randrange(len(TOKEN))]])


def out_of_time(dice: Dice) -> str:
    late = {"exp": NOW.timestamp() - 30 - dice.random() * dice.choice([0, 1, 1e9])}
    early = {dice.choice(["iat", "nbf"]): NOW.timestamp() + 30.001 + dice.random() * dice.choice([1, 1e9])}
    return forge(payload={**PAYLOAD, **dice.choice([late, early])})


def odd_json(dice: Dice) -> str:
    depth = dice.choice([900, 1400])
    deep = [b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * 400 + b"1" + b"}" * 400]
    flat = [b"", b"null", b"[]", b'"x"', b"1", b"\xff\xfe", b"{", b"\xef\xbb\xbf{}", b"1" * 2500, b"{}", b"NaN"]
    odd = dice.choice(deep + flat)
    return dice.choice([forge(header=odd), forge(payload=odd), forge(odd, odd)])


MUTATIONS: list[Callable[[Dice], str]] = [
    alg_none,
    other_algorithm,
    other_key,
    other_type,
    more_in_the_header,
    missing_claim,
    wrong_claim,
    foreign_claim,
    changed_byte,
    changed_bit,
    rearranged,
    out_of_time,
    odd_json,
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_no_mutant_gets_in(mutation: Callable[[Dice], str]):
    dice = Dice(mutation.__name__)
    mutants = [mutation(dice) for _ in range(-(-MUTANTS // len(MUTATIONS)))]
    assert [mutant for mutant in mutants if is_in(mutant)] == []


def test_the_token_that_the_mutants_are_made_of_gets_in():
    assert is_in(TOKEN)
    assert SIGNER.claims_of(forge(), NOW) == CLAIMS


@given(st.one_of(st.text(), st.text(BASE64URL + "."), st.binary().map(lambda raw: forge(payload=raw))))
def test_anything_else_is_refused_and_never_an_error(token: str):
    assert not is_in(token)


# -- what stands in a token ----------------------------------------------------------------------------------------


def test_a_token_is_an_rfc_9068_access_token():
    head, body, signature = TOKEN.split(".")
    assert json.loads(unb64(head)) == HEADER
    assert json.loads(unb64(body)) == PAYLOAD
    assert unb64(signature) == hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256)


def test_whole_seconds_are_times_too():
    whole = {name: int(PAYLOAD[name]) for name in ("iat", "nbf", "exp")}
    assert is_in(forge(payload={**PAYLOAD, **whole}))


def test_a_scope_that_this_release_does_not_know_gives_no_right():
    claims = SIGNER.claims_of(forge(payload={**PAYLOAD, "scope": "root chat  CHAT admin2"}), NOW)
    assert claims.scopes == {Scope.CHAT}


@pytest.mark.parametrize(
    "setting", [{"issuer": "other", "audience": "chatorch-api"}, {"issuer": "chatorch", "audience": "x"}]
)
def test_a_service_with_the_same_secret_and_another_name_does_not_take_it(setting: dict[str, str]):
    with pytest.raises(InvalidToken):
        JwtTokens(SECRET, **setting).claims_of(TOKEN, NOW)


def test_the_refusal_says_nothing_of_the_token_or_the_reason():
    with pytest.raises(InvalidToken) as refusal:
        SIGNER.claims_of(forge(payload={**PAYLOAD, "sub": 1}), NOW)
    assert str(refusal.value) == InvalidToken.default_detail
    assert refusal.value.__cause__ is None


# -- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "x" * 31, PUBLIC_KEY, '{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}'])
def test_a_secret_that_is_short_or_a_key_of_another_kind_is_refused_without_repeating_it(secret: str):
    with pytest.raises(ValueError, match="the secret must") as refusal:
        JwtTokens(secret, issuer="chatorch", audience="chatorch")
    assert not secret or secret not in str(refusal.value)


def test_32_bytes_are_enough_also_in_few_characters():
    signer = JwtTokens("🔑" * 8, issuer="chatorch", audience="chatorch")
    assert signer.claims_of(signer.issue(CLAIMS), NOW) == CLAIMS
