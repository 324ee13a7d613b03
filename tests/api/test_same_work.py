"""Signing in tells nobody whether a name exists, not by its time either."""

import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from tests.support.api import Apis, credentials
from tests.support.sizes import size

UNLIMITED = {"wrong_passwords_per_user": 10_000, "wrong_passwords_per_address": 10_000}


@pytest.fixture
async def hasher() -> AsyncIterator[Argon2PasswordHasher]:
    """At full strength."""
    hasher = Argon2PasswordHasher(workers=1)
    yield hasher
    await hasher.aclose()


async def work_of(client: httpx.AsyncClient, form: dict[str, Any]) -> float:
    """Seconds of processor time of all threads of this process: what others do on this machine does not count."""
    started = time.process_time()
    answer = await client.post("/token", data=form)
    assert answer.status_code == 401
    return time.process_time() - started


async def test_an_unknown_user_costs_the_same_work_as_a_wrong_password(
    apis: Apis, hasher: Argon2PasswordHasher
) -> None:
    api = await apis.start(swapped={"passwords": hasher}, **UNLIMITED)
    for name in ("alice", "gone"):
        await api.container.accounts().add(name, "correct horse battery")
    await api.container.accounts().set_disabled("gone", disabled=True)
    forms = {
        "wrong": credentials("alice", "wrong password"),
        "unknown": credentials("nobody", "wrong password"),
        "disabled": credentials("gone"),
        "no name at all": credentials("\x1b" * 100, "wrong password"),
    }
    client = api.anonymous()
    work: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(size(9, 200)):
        for name, form in forms.items():
            work[name].append(await work_of(client, form))
    medians = {name: statistics.median(times) for name, times in work.items()}
    assert min(medians.values()) > 0.005, "this is no work at all"
    for name, median in medians.items():
        assert median == pytest.approx(medians["wrong"], rel=size(0.25, 0.1)), (name, medians)
