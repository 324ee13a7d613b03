"""Accounts, as an operator keeps them."""

import unicodedata

import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.errors import InvalidField, NotFound, UsernameTaken
from chatorch.domain.model.identity import Scope
from chatorch.domain.services.identity.accounts import Accounts
from tests.support.fakes import FakeClock, PlainPasswords

PASSWORD = "correct horse"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def passwords() -> PlainPasswords:
    return PlainPasswords()


@pytest.fixture
def accounts(store, clock, passwords) -> Accounts:
    return Accounts(users=store.users, passwords=passwords, clock=clock, ids=TimeOrderedIds())


async def test_a_user_is_stored_under_the_canonical_name_with_a_hash(accounts, store, passwords, clock):
    added = await accounts.add("  ＡＤＡ ", PASSWORD)
    user = await store.users.by_username("ada")
    assert user == added
    assert user.id.startswith("usr_")
    assert user.scopes == {Scope.CHAT}
    assert user.password_hash != PASSWORD
    assert await passwords.verify(user.password_hash, PASSWORD)
    assert user.created_at == user.password_changed_at == clock.now()


async def test_an_admin_may_chat_and_administer(accounts):
    assert (await accounts.add("ada", PASSWORD, admin=True)).scopes == {Scope.CHAT, Scope.ADMIN}


async def test_a_name_is_given_once_in_any_spelling(accounts):
    await accounts.add("ada", PASSWORD)
    with pytest.raises(UsernameTaken):
        await accounts.add("ADA", PASSWORD)


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 1025, "nul\0 inside", "lone \ud800 surrogate"])
async def test_a_password_that_will_not_do_is_named_but_not_repeated(accounts, password):
    with pytest.raises(InvalidField) as raised:
        await accounts.add("ada", password)
    assert raised.value.field == "password"
    assert not password or password not in str(raised.value)
    assert not await accounts.list_all()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_a_password_is_hashed_in_one_spelling_and_has_its_length(accounts, store, passwords, form):
    for name, password in (("short", "é" * 8), ("long", "ǖ" * 341)):
        await accounts.add(name, unicodedata.normalize(form, password))
        user = await store.users.by_username(name)
        assert await passwords.verify(user.password_hash, password)
    for password in ("é" * 7, "ǖ" * 1025):
        with pytest.raises(InvalidField, match="8 to 1024"):
            await accounts.add("ada", unicodedata.normalize(form, password))


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb"])
async def test_a_name_that_will_not_do_is_refused(accounts, name):
    with pytest.raises(InvalidField, match="username"):
        await accounts.add(name, PASSWORD)


async def test_users_are_listed_by_name(accounts):
    for name in ("carol", "ada", "bob"):
        await accounts.add(name, PASSWORD)
    assert [user.username for user in await accounts.list_all()] == ["ada", "bob", "carol"]


async def test_a_user_is_disabled_and_enabled_again(accounts, store):
    await accounts.add("ada", PASSWORD)
    await accounts.set_disabled("Ada", True)
    assert (await store.users.by_username("ada")).disabled
    await accounts.set_disabled("ada", False)
    assert not (await store.users.by_username("ada")).disabled


async def test_a_new_password_replaces_the_old_one_from_now_on(accounts, store, passwords, clock):
    await accounts.add("ada", PASSWORD)
    await clock.advance(60)
    await accounts.set_password("ADA", "another horse")
    user = await store.users.by_username("ada")
    assert await passwords.verify(user.password_hash, "another horse")
    assert not await passwords.verify(user.password_hash, PASSWORD)
    assert user.password_changed_at == clock.now() > user.created_at


async def test_whoever_is_not_there_is_not_found(accounts):
    with pytest.raises(NotFound):
        await accounts.set_disabled("nobody", True)
    with pytest.raises(NotFound):
        await accounts.set_password("nobody", PASSWORD)
