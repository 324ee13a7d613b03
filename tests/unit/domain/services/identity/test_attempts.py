"""Whose password is tried, whose is refused, and in which order."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from chatorch.domain.model.errors import ChatorchError, Overloaded, TooManyAttempts
from chatorch.domain.services.identity.attempts import REFUSED_IN_S, AttemptLimits, Attempts
from tests.support.fakes import FakeClock, settle

LIMITS = AttemptLimits(of_name=10, of_address=20, of_stranger=3, window_s=600, at_once=2)
HOME, AWAY = "192.0.2.1", "198.51.100.1"


class Line:
    """Attempts whose passwords are found wrong or right when the test says so."""

    def __init__(self, limits: AttemptLimits = LIMITS) -> None:
        self.clock = FakeClock()
        self.attempts = Attempts(self.clock, limits)
        self.trying: list[tuple[str, str | None, asyncio.Future[bool]]] = []
        self.outcomes: Counter[str] = Counter()

    async def one(self, name: str, address: str | None, *, right: bool = False) -> str:
        """What becomes of one whose turn comes at once, and whose password is found so at once."""
        asked = asyncio.create_task(self._try(name, address))
        await settle()
        if not asked.done() and self.trying and self.trying[-1][:2] == (name, address):
            self.trying.pop()[2].set_result(right)
            await settle()
        if not asked.done():
            await self.clock.advance(REFUSED_IN_S)
        return await asked

    async def wrong(self, times: int, name: str, address: Callable[[int], str] | str | None) -> Counter[str]:
        places = [address(number) if callable(address) else address for number in range(times)]
        return Counter([await self.one(name, place) for place in places])

    def ask(self, name: str, address: str | None) -> "asyncio.Task[str]":
        return asyncio.create_task(self._try(name, address))

    async def settle_all(self, right: Callable[[str, str | None], bool]) -> None:
        """Answers whoever is tried, until nobody is."""
        await settle()
        while self.trying:
            name, address, outcome = self.trying.pop(0)
            if not outcome.done():
                outcome.set_result(right(name, address))
            await settle()

    async def _try(self, name: str, address: str | None) -> str:
        try:
            async with self.attempts.turn(name, address) as attempt:
                outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
                self.trying.append((name, address, outcome))
                right = await outcome
                (self.attempts.right if right else self.attempts.wrong)(attempt)
                return "right" if right else "wrong"
        except ChatorchError as error:
            return error.code


@pytest.fixture
def line() -> Line:
    return Line()


async def test_an_address_that_is_wrong_too_often_is_refused_whatever_it_brings(line: Line) -> None:
    seen = Counter([await line.one(f"name {number}", AWAY) for number in range(25)])
    assert seen == {"wrong": 20, "too_many_attempts": 5}
    assert await line.one("another", AWAY, right=True) == "too_many_attempts"
    assert await line.one("another", HOME, right=True) == "right"


async def test_a_name_that_is_guessed_at_is_refused_to_who_guesses_and_not_to_its_owner(line: Line) -> None:
    assert await line.wrong(15, "alice", AWAY) == {"wrong": 10, "too_many_attempts": 5}
    assert await line.one("alice", HOME, right=True) == "right"
    assert await line.one("bob", AWAY, right=True) == "right"


async def test_of_who_guesses_from_everywhere_each_address_has_few_guesses(line: Line) -> None:
    await line.wrong(10, "alice", lambda number: f"203.0.113.{number}")
    assert await line.wrong(5, "alice", AWAY) == {"wrong": 3, "too_many_attempts": 2}
    assert await line.wrong(2, "alice", HOME) == {"wrong": 2}
    assert await line.one("alice", HOME, right=True) == "right"
    assert await line.wrong(4, "alice", HOME) == {"wrong": 3, "too_many_attempts": 1}


async def test_being_right_in_between_gains_a_guesser_nothing(line: Line) -> None:
    guesses = Counter()
    for _ in range(25):
        guesses[await line.one("alice", AWAY)] += 1
        await line.one("mallory", AWAY, right=True)
        await line.one("alice", HOME, right=True)
    assert guesses["wrong"] <= 10


async def test_there_is_room_again_when_the_answer_says_so(line: Line) -> None:
    await line.wrong(10, "alice", AWAY)
    asked = asyncio.create_task(line.attempts.turn("alice", AWAY).__aenter__())
    await line.clock.until_asleep()
    await line.clock.advance(1)
    with pytest.raises(TooManyAttempts) as refused:
        await asked
    assert refused.value.limit
    assert refused.value.limit.quota == 10
    await line.clock.advance(refused.value.retry_after - 2)
    assert await line.one("alice", AWAY) == "too_many_attempts"
    await line.clock.advance(2)
    assert await line.one("alice", AWAY) == "wrong"


async def test_where_no_address_is_known_the_name_alone_counts(line: Line) -> None:
    assert await line.wrong(15, "alice", None) == {"wrong": 10, "too_many_attempts": 5}
    seen = Counter([await line.one(f"name {number}", None) for number in range(50)])
    assert seen == {"wrong": 50}


async def test_many_at_once_gain_no_more_guesses_than_one_after_the_other(line: Line) -> None:
    asked = [line.ask("alice", AWAY) for _ in range(60)]
    await line.settle_all(lambda *_: False)
    await line.clock.advance(2)
    assert Counter(await asyncio.gather(*asked)) == {"wrong": 10, "too_many_attempts": 50}


async def test_many_at_once_who_are_right_are_all_let_in(line: Line) -> None:
    asked = [line.ask("alice", HOME) for _ in range(60)]
    await line.settle_all(lambda *_: True)
    assert Counter(await asyncio.gather(*asked)) == {"right": 60}


async def test_who_was_never_wrong_goes_before_who_was(line: Line) -> None:
    for number in range(100):
        await line.one(f"name {number}", f"203.0.113.{number}")
    guessing = [line.ask("alice", f"203.0.113.{number}") for number in range(100)]
    await settle()
    right = line.ask("alice", HOME)
    order = []
    await line.settle_all(lambda _, address: (order.append(address), address == HOME)[1])
    assert await right == "right"
    assert order.index(HOME) <= LIMITS.at_once
    await line.clock.advance(2)
    await asyncio.gather(*guessing)


async def test_who_comes_last_into_a_crowd_of_strangers_need_not_wait_for_all_of_them(line: Line) -> None:
    crowd = [line.ask("alice", f"203.0.113.{number}") for number in range(100)]
    await settle()
    right = line.ask("alice", HOME)
    await settle()
    order = []
    await line.settle_all(lambda _, address: (order.append(address), address == HOME)[1])
    assert await right == "right"
    assert order.index(HOME) <= LIMITS.at_once + 1
    assert order.index("203.0.113.2") <= LIMITS.at_once + 2
    await asyncio.gather(*crowd)


async def test_a_full_line_has_room_for_who_guesses_less(line: Line) -> None:
    crowds = [f"203.0.113.{number}" for number in range(5)]
    waiting = [line.ask(f"{address} {number}", address) for number in range(64) for address in crowds]
    await settle()
    right = line.ask("alice", HOME)
    await line.settle_all(lambda _, address: address == HOME)
    assert await right == "right"
    await line.clock.advance(2)
    outcomes = Counter(await asyncio.gather(*waiting))
    assert outcomes["wrong"] == 5 * 20
    assert outcomes["overloaded"] > 0


async def test_one_address_cannot_take_all_places(line: Line) -> None:
    waiting = [line.ask(f"name {number}", AWAY) for number in range(300)]
    await settle()
    others = [line.ask(f"name {number}", f"203.0.113.{number}") for number in range(100)]
    await line.settle_all(lambda _, address: address != AWAY)
    assert Counter(await asyncio.gather(*others)) == {"right": 100}
    await line.clock.advance(2)
    await asyncio.gather(*waiting)


async def test_who_leaves_gives_up_the_place(line: Line) -> None:
    first = [line.ask("alice", HOME) for _ in range(2)]
    await settle()
    leaving = [line.ask("alice", HOME) for _ in range(10)]
    await settle()
    for task in (*leaving, first[0]):
        task.cancel()
    await asyncio.gather(*leaving, first[0], return_exceptions=True)
    last = [line.ask("bob", HOME) for _ in range(2)]
    await line.settle_all(lambda *_: True)
    assert await asyncio.gather(first[1], *last) == ["right"] * 3


async def test_a_refusal_is_held_back_and_only_so_many_are(line: Line) -> None:
    await line.wrong(10, "alice", AWAY)
    refused = [line.ask("alice", AWAY) for _ in range(600)]
    await settle()
    assert sum(task.done() for task in refused) == 600 - 512
    await line.clock.advance(1)
    assert set(await asyncio.gather(*refused)) == {TooManyAttempts.code}


async def test_what_is_neither_right_nor_wrong_counts_for_nothing(line: Line) -> None:
    for _ in range(50):
        with pytest.raises(Overloaded):
            async with line.attempts.turn("alice", AWAY):
                raise Overloaded
    assert await line.one("alice", AWAY, right=True) == "right"
