"""Whose tokens count: by generations, on machines whose clocks do not agree, and beside the release before."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest

from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.errors import InvalidToken
from chatorch.domain.model.identity import Credential, Scope, UserId
from chatorch.domain.services.identity.accounts import Accounts
from chatorch.domain.services.identity.attempts import AttemptLimits, Attempts
from chatorch.domain.services.identity.identify import Identify
from chatorch.domain.services.identity.sign_in import SignIn
from chatorch.ports.credentials import CredentialVerifier
from chatorch.ports.tokens import Claims, TokenIssuer
from tests.support.app import RecordingTelemetry
from tests.support.fakes import FakeClock, Pause, PlainPasswords

SECRET = "s" * 32
FIRST, SECOND = "the first password", "the second password"


class OlderTokens(TokenIssuer, CredentialVerifier):
    """As the release before: it neither writes generations nor reads them."""

    def __init__(self) -> None:
        self._tokens = JwtTokens(SECRET, issuer="chatorch", audience="chatorch")

    def issue(self, claims: Claims) -> str:
        return self._tokens.issue(replace(claims, generation=None))

    async def verify(self, credential: str, now) -> Credential:
        return replace(
            await self._tokens.verify(credential, now), since=self._tokens.claims_of(credential, now).issued_at
        )

    async def revoked(self, ids):
        return ()


class Machine:
    """One process on a machine whose clock is `ahead_s` of the true time; the store is shared."""

    def __init__(self, store: MemoryStore, time: FakeClock, ahead_s: float = 0, *, older: bool = False) -> None:
        self.clock = Ahead(time, ahead_s)
        self.passwords = PlainPasswords()
        tokens = OlderTokens() if older else JwtTokens(SECRET, issuer="chatorch", audience="chatorch")
        given = {"users": store.users, "clock": self.clock, "ids": TimeOrderedIds()}
        self.accounts = Accounts(**given, passwords=self.passwords)
        attempts = Attempts(self.clock, AttemptLimits())
        self.signing_in = SignIn(**given, passwords=self.passwords, tokens=tokens, attempts=attempts, token_life_s=1800)
        self.identify = Identify(**given, verifiers=[tokens], telemetry=RecordingTelemetry())

    async def sign_in(self, password: str = FIRST) -> str:
        return (await self.signing_in.by_password("alice", password)).access_token

    async def takes(self, token: str) -> bool:
        try:
            await self.identify.principal(token)
        except InvalidToken:
            return False
        return True


class Ahead(FakeClock):
    def __init__(self, time: FakeClock, seconds: float) -> None:
        super().__init__()
        self._time = time
        self.wall_offset = timedelta(seconds=seconds)

    def now(self):
        return self._time.now() + self.wall_offset

    def monotonic(self) -> float:
        return self._time.monotonic()


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def signed_up(store: MemoryStore, machine: Machine) -> UserId:
    return (await machine.accounts.add("alice", FIRST)).id


@pytest.mark.parametrize("ahead_s", [-7200, -600, 600, 7200])
@pytest.mark.parametrize("what", ["password", "disabled"])
async def test_what_another_machine_ends_is_ended_whatever_its_clock_says(store, time, ahead_s, what):
    here, there = Machine(store, time), Machine(store, time, ahead_s)
    await signed_up(store, here)
    before = await here.sign_in()
    assert await here.takes(before)
    if what == "password":
        await there.accounts.set_password("alice", SECOND)
    else:
        await there.accounts.set_disabled("alice", True)
        await there.accounts.set_disabled("alice", False)
    after = await here.sign_in(SECOND if what == "password" else FIRST)
    assert await here.takes(after), "at once, though the user was looked at a moment ago"
    assert not await here.takes(before)


@pytest.mark.parametrize("jump_s", [-7200, 7200])
async def test_a_clock_that_jumps_neither_ends_a_session_by_its_user_nor_brings_one_back(store, time, jump_s):
    here = Machine(store, time)
    await signed_up(store, here)
    old = await here.sign_in()
    here.clock.wall_offset += timedelta(seconds=jump_s)
    new = await here.sign_in()
    assert await here.takes(new)
    await here.accounts.set_password("alice", SECOND)
    here.clock.wall_offset -= timedelta(seconds=jump_s)
    await time.advance(5)
    last = await here.sign_in(SECOND)
    assert [await here.takes(token) for token in (old, new, last)] == [False, False, True]


async def test_a_password_changed_in_the_very_moment_of_a_sign_in_ends_that_token_too(store, time):
    here = Machine(store, time)
    await signed_up(store, here)
    verify, pause = here.passwords.verify, Pause()

    async def slow(password_hash: str, password: str) -> bool:
        await pause.hold()
        return await verify(password_hash, password)

    here.passwords.verify = slow
    signing_in = asyncio.ensure_future(here.sign_in())
    await pause.reached()
    await here.accounts.set_password("alice", SECOND)
    pause.go_on()
    assert not await here.takes(await signing_in), "made after the change, with the password of before"


async def test_a_stale_look_at_a_user_refuses_no_newer_token_and_lets_no_older_one_in_for_long(store, time):
    here, there = Machine(store, time), Machine(store, time)
    await signed_up(store, here)
    old = await here.sign_in()
    assert await there.takes(old)
    await here.accounts.set_password("alice", SECOND)
    assert await there.takes(old), "for the seconds that a user is cached"
    assert await there.takes(await here.sign_in(SECOND))
    assert not await there.takes(old), "and no longer, once it is known"


async def test_tokens_of_the_release_before_count_by_their_time_as_they_did(store, time):
    older, here = Machine(store, time, older=True), Machine(store, time)
    await signed_up(store, older)
    before = await older.sign_in()
    assert await here.takes(before)
    assert await older.takes(await here.sign_in()), "it does not mind what it does not know"
    await time.advance(10)
    await here.accounts.set_password("alice", SECOND)
    await time.advance(10)
    after = [await older.sign_in(SECOND), await here.sign_in(SECOND)]
    for machine in (older, here):
        assert not await machine.takes(before)
        assert [await machine.takes(token) for token in after] == [True, True]
    await time.advance(1831)
    assert not any([await machine.takes(token) for machine in (older, here) for token in after])


@pytest.mark.parametrize("generation", [1, 2, 2**31 - 1])
async def test_a_generation_that_the_user_has_not_reached_is_no_better_than_an_old_one(store, time, generation):
    here = Machine(store, time)
    await signed_up(store, here)
    claims = jwt.decode(await here.sign_in(), options={"verify_signature": False})
    token = jwt.encode({**claims, "gen": generation}, SECRET, headers={"typ": "at+jwt"})
    assert not await here.takes(token)


async def test_in_a_store_restored_from_a_backup_no_later_change_brings_back_what_was_given_out_since(store, time):
    here = Machine(store, time)
    user_id = await signed_up(store, here)
    backup = await store.users.by_id(user_id)
    await here.accounts.set_password("alice", SECOND)
    since = await here.sign_in(SECOND)
    store.users._state.users[user_id] = backup
    await time.advance(5)
    await here.accounts.set_password("alice", "a third password")
    assert not await here.takes(since)
    assert await here.takes(await here.sign_in("a third password"))


@pytest.mark.parametrize("ahead_s", [-29, 29])
async def test_machines_within_the_leeway_take_each_others_tokens(store, time, ahead_s):
    here, there = Machine(store, time), Machine(store, time, ahead_s)
    await signed_up(store, here)
    assert await here.takes(await there.sign_in())
    assert await there.takes(await here.sign_in())


async def test_a_token_lives_as_long_as_the_clock_of_who_looks_says_and_is_never_taken_too_long(store, time):
    here, there = Machine(store, time), Machine(store, time, 600)
    await signed_up(store, here)
    token = await here.sign_in()
    assert await there.takes(token)
    await time.advance(1231)
    assert (await here.takes(token), await there.takes(token)) == (True, False)


async def test_scopes_are_no_part_of_a_generation(store, time):
    here = Machine(store, time)
    await here.accounts.add("alice", FIRST, admin=True)
    principal = await here.identify.principal(await here.sign_in())
    assert (principal.scopes, principal.generation) == ({Scope.CHAT, Scope.ADMIN}, 0)
