"""What every token signer keeps to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatorch.adapters.identity.jwt_tokens import JwtTokenSigner
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Scope, UserId
from chatorch.ports.tokens import Claims, TokenSigner

NOW = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=UTC)
LIFE = timedelta(minutes=30)
CLAIMS = Claims(UserId("usr_1"), frozenset({Scope.CHAT}), "tok_1", NOW, NOW + LIFE, 3)


@pytest.fixture(params=["jwt"])
def signer(request: pytest.FixtureRequest) -> TokenSigner:
    return {"jwt": lambda: JwtTokenSigner("s" * 32, issuer="chatorch", audience="chatorch")}[request.param]()


@pytest.mark.parametrize("scopes", [set(), {Scope.CHAT}, {Scope.CHAT, Scope.ADMIN}])
def test_a_token_says_what_was_signed_to_the_microsecond(signer: TokenSigner, scopes: set[Scope]):
    claims = replace(CLAIMS, scopes=frozenset(scopes))
    assert signer.verify(signer.sign(claims), NOW) == claims


@pytest.mark.parametrize("generation", [None, 0, 1, 2**31 - 1])
def test_a_token_says_its_users_generation_or_none(signer: TokenSigner, generation: int | None):
    claims = replace(CLAIMS, generation=generation)
    assert signer.verify(signer.sign(claims), NOW) == claims


@pytest.mark.parametrize("after", [timedelta(seconds=-30), timedelta(), LIFE, LIFE + timedelta(seconds=29.9)])
def test_a_token_is_valid_in_its_life_give_or_take_30_seconds(signer: TokenSigner, after: timedelta):
    assert signer.verify(signer.sign(CLAIMS), NOW + after) == CLAIMS


@pytest.mark.parametrize("after", [timedelta(days=-1), timedelta(seconds=-30.1), LIFE + timedelta(seconds=30)])
def test_a_token_is_refused_before_and_after_its_life(signer: TokenSigner, after: timedelta):
    token = signer.sign(CLAIMS)
    with pytest.raises(InvalidToken):
        signer.verify(token, NOW + after)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a.b.c", "Bearer x", "é", "\ud800", "\0", "a" * 1_000_000, "." * 1_000_000]
)
def test_what_is_no_token_is_refused(signer: TokenSigner, token: str):
    with pytest.raises(InvalidToken):
        signer.verify(token, NOW)


def test_a_token_differs_from_one_for_somebody_else(signer: TokenSigner):
    assert signer.sign(CLAIMS) != signer.sign(replace(CLAIMS, user_id=UserId("usr_2")))
