"""How Argon2 is used: its parameters, its pool, and how little a time tells."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.domain.model.errors import Draining, Overloaded

WORKERS, WAITING = 2, 3


@pytest.fixture
async def hasher() -> AsyncIterator[Argon2PasswordHasher]:
    hasher = Argon2PasswordHasher(memory_kib=1024, iterations=1, workers=WORKERS, max_waiting=WAITING)
    yield hasher
    await hasher.aclose()


async def test_the_parameters_are_those_that_owasp_names():
    hasher = Argon2PasswordHasher()
    parameters = extract_parameters(await hasher.hash("secret"))
    await hasher.aclose()

    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)
    assert parameters.salt_len >= 16


async def test_a_hash_with_older_parameters_is_still_known(hasher: Argon2PasswordHasher):
    older = Argon2PasswordHasher(memory_kib=64, iterations=3)
    hashed = await older.hash("secret")
    await older.aclose()

    assert await hasher.verify(hashed, "secret")
    assert not await hasher.verify(hashed, "Secret")


class SlowPassword(str):
    """A password that keeps a thread of the pool busy until the test lets go of it."""

    __slots__ = ("let_go",)

    def __init__(self, _: str) -> None:
        self.let_go = threading.Event()

    def encode(self, *how: str) -> bytes:
        assert self.let_go.wait(timeout=5)
        return super().encode(*how)


async def test_at_most_so_many_wait_and_the_others_are_refused_at_once(hasher: Argon2PasswordHasher):
    slow = SlowPassword("secret")
    taken = [asyncio.create_task(hasher.hash(slow)) for _ in range(WORKERS)]
    taken += [asyncio.create_task(hasher.verify("", slow)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    for _ in range(20):
        with pytest.raises(Overloaded):
            await hasher.hash("secret")
        with pytest.raises(Overloaded):
            await hasher.verify("", "secret")

    slow.let_go.set()
    assert [type(result) for result in await asyncio.gather(*taken)] == [str] * WORKERS + [bool] * WAITING
    assert await hasher.hash("secret")


async def test_who_gives_up_while_waiting_frees_the_place_and_who_is_being_served_does_not(
    hasher: Argon2PasswordHasher,
):
    slow = SlowPassword("secret")
    served = [asyncio.create_task(hasher.hash(slow)) for _ in range(WORKERS)]
    await asyncio.sleep(0)
    for _ in range(3):
        waiting = [asyncio.create_task(hasher.hash("secret")) for _ in range(WAITING)]
        await asyncio.sleep(0)
        for caller in waiting + served:
            caller.cancel()
        assert all(
            isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*waiting, return_exceptions=True)
        )
    waiting = [asyncio.create_task(hasher.hash("secret")) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await hasher.hash("secret")

    slow.let_go.set()
    assert all(await asyncio.gather(*waiting))


async def test_the_event_loop_goes_on_while_passwords_are_hashed():
    hasher = Argon2PasswordHasher(workers=1)
    hashing = asyncio.create_task(hasher.hash("secret"))
    turns = 0
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    await hasher.aclose()

    assert turns > 50


async def test_what_is_no_hash_costs_as_much_as_a_wrong_password():
    hasher = Argon2PasswordHasher(workers=1)
    hashed = await hasher.hash("secret")
    candidates = {"wrong": hashed, "empty": "", "broken": hashed[:-8] + "!", "other": "$2b$12$abcdefghijklmnopqrstuv"}
    times: dict[str, list[float]] = {name: [] for name in candidates}
    # CPU time of the process, its threads included: other processes on the machine hardly move it.
    for _ in range(7):
        for name, candidate in candidates.items():
            before = time.process_time()
            assert not await hasher.verify(candidate, "wrong")
            times[name].append(time.process_time() - before)
    await hasher.aclose()

    least = {name: min(taken) for name, taken in times.items()}
    assert max(least.values()) < 1.5 * min(least.values()), least


async def test_closing_finishes_what_was_taken_and_takes_no_more():
    hasher = Argon2PasswordHasher(memory_kib=1024, iterations=1, workers=1, max_waiting=5)
    taken = [asyncio.create_task(hasher.hash("secret")) for _ in range(4)]
    await asyncio.sleep(0)

    await hasher.aclose()

    assert all(hashed.startswith("$argon2id$") for hashed in await asyncio.gather(*taken))
    for _ in range(20):
        with pytest.raises(Draining):
            await hasher.hash("secret")


WITHOUT_MEMORY = """
import asyncio, resource
from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.domain.model.errors import Overloaded

async def main():
    hashed = await Argon2PasswordHasher(memory_kib=64, iterations=1).hash("secret")
    greedy = Argon2PasswordHasher(memory_kib=8 * 2**20, iterations=1)
    for work in (greedy.hash("secret"), greedy.verify("", "secret")):
        try:
            await work
        except Overloaded:
            print("overloaded")

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
asyncio.run(main())
"""


async def test_memory_that_is_not_to_be_had_is_overload_and_not_a_wrong_password():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WITHOUT_MEMORY, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert said.split() == [b"overloaded"] * 2


@pytest.mark.parametrize("wrong", [{"memory_kib": 7}, {"memory_kib": 15, "lanes": 2}, {"iterations": 0}, {"lanes": 0}])
def test_parameters_that_argon2_does_not_have_are_refused_at_the_start(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="8 KiB a lane"):
        Argon2PasswordHasher(**wrong)
