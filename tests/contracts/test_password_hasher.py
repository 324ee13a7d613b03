"""What every password hasher keeps to, the tests' own included."""

from collections.abc import AsyncIterator

import pytest

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.ports.passwords import PasswordHasher
from tests.support.fakes import PlainPasswords

PASSWORDS = [
    "correct horse battery",
    " ",
    "",
    "pässwörd",
    "🔑" * 100,
    "nul\0inside",
    "lone \ud800",
    "x" * 100_000,
    "$a$b$",
]


@pytest.fixture(params=["argon2", "plain"])
async def hasher(request: pytest.FixtureRequest) -> AsyncIterator[PasswordHasher]:
    if request.param == "plain":
        yield PlainPasswords()
        return
    argon2 = Argon2PasswordHasher(memory_kib=8, iterations=1)
    yield argon2
    await argon2.aclose()


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
async def test_a_password_is_known_again_and_no_other_is(hasher: PasswordHasher, password: str):
    hashed = await hasher.hash(password)

    assert await hasher.verify(hashed, password)
    assert not await hasher.verify(hashed, password + "x")
    assert not await hasher.verify(hashed, password.swapcase() + " ")


async def test_the_same_password_never_hashes_to_the_same_string(hasher: PasswordHasher):
    assert await hasher.hash("secret") != await hasher.hash("secret")


@pytest.mark.parametrize(
    "no_hash",
    ["", "x", "$", "$$$", "é", "\0", "\ud800", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$", "$argon2id$v=1$x$y$z"],
)
async def test_what_is_no_hash_matches_no_password(hasher: PasswordHasher, no_hash: str):
    assert not await hasher.verify(no_hash, "secret")
    assert not await hasher.verify(no_hash, "")


async def test_a_hash_is_a_phc_string(hasher: PasswordHasher):
    _, name, *rest = (await hasher.hash("secret")).split("$")
    assert name.isalnum()
    assert len(rest) >= 2
