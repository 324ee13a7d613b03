"""What every issuer and verifier of tokens of ours keeps to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Credential, Scope, UserId
from chatorch.ports.tokens import Claims

NOW = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=UTC)
LIFE = timedelta(minutes=30)
CLAIMS = Claims(UserId("usr_1"), frozenset({Scope.CHAT}), "tok_1", NOW, NOW + LIFE, 3)


@pytest.fixture(params=["jwt"])
def signer(request: pytest.FixtureRequest) -> JwtTokens:
    return {"jwt": lambda: JwtTokens("s" * 32, issuer="chatorch", audience="chatorch")}[request.param]()


@pytest.mark.parametrize("scopes", [set(), {Scope.CHAT}, {Scope.CHAT, Scope.ADMIN}])
def test_a_token_says_what_was_signed_to_the_microsecond(signer: JwtTokens, scopes: set[Scope]):
    claims = replace(CLAIMS, scopes=frozenset(scopes))
    assert signer.claims_of(signer.issue(claims), NOW) == claims


@pytest.mark.parametrize("generation", [None, 0, 1, 2**31 - 1])
def test_a_token_says_its_users_generation_or_none(signer: JwtTokens, generation: int | None):
    claims = replace(CLAIMS, generation=generation)
    assert signer.claims_of(signer.issue(claims), NOW) == claims


@pytest.mark.parametrize("after", [timedelta(seconds=-30), timedelta(), LIFE, LIFE + timedelta(seconds=29.9)])
def test_a_token_is_valid_in_its_life_give_or_take_30_seconds(signer: JwtTokens, after: timedelta):
    assert signer.claims_of(signer.issue(CLAIMS), NOW + after) == CLAIMS


@pytest.mark.parametrize("after", [timedelta(days=-1), timedelta(seconds=-30.1), LIFE + timedelta(seconds=30)])
def test_a_token_is_refused_before_and_after_its_life(signer: JwtTokens, after: timedelta):
    token = signer.issue(CLAIMS)
    with pytest.raises(InvalidToken):
        signer.claims_of(token, NOW + after)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", "Bearer x", "é", "\ud800", "\0", "a" * 1_000_000, "." * 1_000_000]
)
def test_what_is_no_token_is_refused(signer: JwtTokens, token: str):
    with pytest.raises(InvalidToken):
        signer.claims_of(token, NOW)


def test_a_token_differs_from_one_for_somebody_else(signer: JwtTokens):
    assert signer.issue(CLAIMS) != signer.issue(replace(CLAIMS, user_id=UserId("usr_2")))


# -- as one verifier of a chain --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("generation", "since"), [(3, 3), (0, 0), (None, NOW)])
async def test_a_credential_is_bound_to_a_generation_or_where_there_is_none_to_a_time(signer, generation, since):
    token = signer.issue(replace(CLAIMS, generation=generation))
    found = await signer.verify(token, NOW)
    assert found == Credential(CLAIMS.user_id, CLAIMS.scopes, CLAIMS.expires_at, since)
    assert await signer.revoked(["tok_1"]) == ()


@pytest.mark.parametrize("token", ["", "..", "a.b.c", "key_0123456789", "é", "\ud800", "\0", "a" * 1_000_000])
async def test_what_is_no_token_is_left_to_the_next(signer: JwtTokens, token: str):
    assert await signer.verify(token, NOW) is None


@pytest.mark.parametrize(
    "headers", [{"typ": "JWT"}, {"typ": "at+jwt", "kid": "k1"}, {"typ": "at+jwt", "alg": "HS512"}, {"alg": "none"}]
)
async def test_a_token_with_another_header_is_left_to_the_next(signer: JwtTokens, headers: dict[str, str]):
    algorithm = headers.get("alg", "HS256")
    key = "" if algorithm == "none" else "k" * 64
    assert (
        await signer.verify(jwt.encode({"iss": "https://login.example"}, key, algorithm, headers=headers), NOW) is None
    )


async def test_one_of_ours_that_is_no_good_is_refused_whoever_else_might_take_it(signer: JwtTokens):
    token = signer.issue(CLAIMS)
    changed = token[:-5] + ("AAAAA" if token[-5:] != "AAAAA" else "BBBBB")
    others = JwtTokens("o" * 32, issuer="chatorch", audience="chatorch").issue(CLAIMS)
    for credential, now in ((changed, NOW), (others, NOW), (token, NOW + timedelta(days=1)), (token, NOW - LIFE)):
        with pytest.raises(InvalidToken):
            await signer.verify(credential, now)
