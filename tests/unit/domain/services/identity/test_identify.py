"""Whose credential it is: a chain of verifiers, and what ends each of their credentials."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.errors import InvalidGrant, InvalidToken, StoreUnavailable, Unavailable
from chatorch.domain.model.identity import CredentialId, Scope
from chatorch.domain.services.identity.accounts import Accounts
from chatorch.domain.services.identity.attempts import AttemptLimits, Attempts
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.domain.services.identity.sign_in import SignIn
from tests.support.api_keys import ApiKeys
from tests.support.app import RecordingTelemetry
from tests.support.fakes import FakeClock, PlainPasswords

PASSWORD = "the first password"


class Process:
    """Who is known here by a password, a token or a key."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.passwords = PlainPasswords()
        self.keys = ApiKeys()
        self.telemetry = RecordingTelemetry()
        self.users = MemoryStore().users
        tokens = JwtTokens("s" * 32, issuer="chatorch", audience="chatorch")
        given = {"users": self.users, "clock": self.clock, "ids": TimeOrderedIds()}
        self.accounts = Accounts(**given, passwords=self.passwords)
        attempts = Attempts(self.clock, AttemptLimits())
        self.sign_in = SignIn(**given, passwords=self.passwords, tokens=tokens, attempts=attempts, token_life_s=1800)
        self.identify = Identify(**given, verifiers=[tokens, self.keys], telemetry=self.telemetry)

    async def token(self, name: str = "alice", password: str = PASSWORD) -> str:
        return (await self.sign_in.by_password(name, password)).access_token

    async def takes(self, credential: str) -> bool:
        try:
            await self.identify.principal(credential)
        except InvalidToken:
            return False
        return True

    async def later(self) -> None:
        """A user is looked at again."""
        await self.clock.advance(5)


@pytest.fixture
def here() -> Process:
    return Process()


async def test_the_first_that_knows_a_credential_answers_and_nobody_else_is_asked(here: Process) -> None:
    alice = await here.accounts.add("alice", PASSWORD)
    token, key = await here.token(), here.keys.give("a", alice.id)
    assert (await here.identify.principal(token)).user_id == alice.id
    assert here.keys.asked == []
    assert (await here.identify.principal(key)).user_id == alice.id
    assert here.keys.asked == [key]


async def test_one_that_a_verifier_refuses_or_that_none_knows_is_refused(here: Process) -> None:
    await here.accounts.add("alice", PASSWORD)
    spoiled = (await here.token())[:-6] + "AAAAAA"
    assert not await here.takes(spoiled)
    assert here.keys.asked == [], "it says of itself that it is ours"
    assert not await here.takes("something")
    assert not await here.takes("key_unknown")
    assert here.keys.asked == ["something", "key_unknown"]


async def test_without_any_verifier_nobody_is_let_in(here: Process) -> None:
    given = {"users": here.users, "clock": here.clock, "ids": TimeOrderedIds(), "telemetry": here.telemetry}
    with pytest.raises(InvalidToken):
        await Identify(**given, verifiers=[]).principal("anything")


async def test_a_key_allows_what_its_user_still_may(here: Process) -> None:
    root = await here.accounts.add("root", PASSWORD, admin=True)
    key = here.keys.give("r", root.id)
    assert (await here.identify.principal(key)).scopes == {Scope.CHAT}
    nobodys = here.keys.give("n", "usr_nobody")
    assert not await here.takes(nobodys)


async def test_a_key_outlives_a_password_and_a_token_does_not_and_neither_its_user(here: Process) -> None:
    alice = await here.accounts.add("alice", PASSWORD)
    held = [await here.identify.holder(c) for c in (await here.token(), here.keys.give("a", alice.id))]
    assert [one.expires_at is None for one in held] == [False, True]
    assert not held[1].expired(here.clock.now() + timedelta(days=10_000))
    await here.accounts.set_password("alice", "another password")
    assert await here.identify.revoked(held) == held[:1]
    assert await here.takes("key_a")
    await here.accounts.set_disabled("alice", True)
    assert await here.identify.revoked(held) == held
    await here.later()
    assert not await here.takes("key_a")
    await here.accounts.set_disabled("alice", False)
    assert await here.identify.revoked(held) == held[:1], "whoever was locked out and let in again has the same key"


async def test_one_whose_time_is_over_is_refused_also_where_its_verifier_did_not_look(here: Process) -> None:
    alice = await here.accounts.add("alice", PASSWORD)
    key = here.keys.give("a", alice.id)
    here.keys.expires_at = here.clock.now() + timedelta(seconds=60)
    holder = await here.identify.holder(key)
    await here.clock.advance(89)
    assert holder.expired(here.clock.now())
    assert await here.takes(key)
    await here.clock.advance(1)
    assert not await here.takes(key)


async def test_of_one_users_keys_each_is_revoked_by_itself(here: Process) -> None:
    alice = await here.accounts.add("alice", PASSWORD)
    held = [await here.identify.holder(here.keys.give(name, alice.id)) for name in "abc"]
    here.keys.revoke("key_b")
    assert await here.identify.revoked(held) == [held[1]]
    assert [await here.takes(f"key_{name}") for name in "abc"] == [True, False, True]


@pytest.mark.parametrize(("failure", "told"), [(StoreUnavailable(), "outages"), (RuntimeError(), "failures")])
async def test_a_verifier_that_cannot_tell_ends_nothing_and_keeps_nobody(here: Process, failure, told) -> None:
    for name in ("alice", "bob"):
        here.keys.give(name, (await here.accounts.add(name, PASSWORD)).id)
    alice, bob = [await here.identify.holder(f"key_{name}") for name in ("alice", "bob")]
    here.keys.failure = failure
    here.keys.revoke("key_alice")
    await here.accounts.set_disabled("bob", True)
    assert await here.identify.revoked([alice, bob]) == [bob]
    assert len(getattr(here.telemetry, told)) == 1


async def test_nobody_is_taken_for_a_stranger_while_a_verifier_is_away(here: Process) -> None:
    here.keys.failure = Unavailable()
    with pytest.raises(Unavailable):
        await here.identify.principal("key_a")


async def test_verifiers_are_not_asked_what_is_revoked_where_nobody_holds_such_a_credential(here: Process) -> None:
    await here.accounts.add("alice", PASSWORD)
    holder = await here.identify.holder(await here.token())
    here.keys.failure = AssertionError("asked")
    assert await here.identify.revoked([holder]) == []
    assert here.telemetry.failures == []


async def test_an_unknown_id_among_those_that_are_held_is_left_alone(here: Process) -> None:
    alice = await here.accounts.add("alice", PASSWORD)
    holder = await here.identify.holder(here.keys.give("a", alice.id))
    foreign = Identified(replace(holder.principal, credential_id=CredentialId("of another verifier")), None)
    assert await here.identify.revoked([holder, foreign]) == []


# -- without a password ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [PASSWORD, "", "None", "$plain$1$", "é" * 20])
async def test_who_has_no_password_is_refused_as_nobody_is_after_the_same_work(here: Process, given: str) -> None:
    await here.accounts.add("alice", None)
    work = []
    for name in ("alice", "nobody"):
        before = here.passwords.verified
        with pytest.raises(InvalidGrant) as refusal:
            await here.sign_in.by_password(name, given)
        work.append((here.passwords.verified - before, str(refusal.value)))
    assert work[0] == work[1]
    assert work[0][0] > 0


async def test_taking_a_password_away_ends_what_it_gave_out(here: Process) -> None:
    await here.accounts.add("alice", PASSWORD)
    token = await here.token()
    await here.accounts.set_password("alice", None)
    with pytest.raises(InvalidGrant):
        await here.token()
    await here.later()
    assert not await here.takes(token)


async def test_who_has_no_password_comes_in_otherwise_and_by_one_once_it_is_set(here: Process) -> None:
    alice = await here.accounts.add("alice", None)
    key = here.keys.give("a", alice.id)
    assert (await here.identify.principal(key)).username == "alice"
    await here.accounts.set_password("alice", PASSWORD)
    assert await here.takes(await here.token())
    assert await here.takes(key)
