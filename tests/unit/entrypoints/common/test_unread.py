"""How much of long answers may lie here unread, and whose is given up for it."""

from contextlib import ExitStack

import pytest

from chatorch.entrypoints.common.unread import Unread


class Lying:
    """Answers that nobody reads, as they are asked for; `given_up` tells which of them were."""

    def __init__(self, stack: ExitStack, most: int, of_one: int) -> None:
        self._stack = stack
        self._unread = Unread(most, of_one)
        self.given_up: list[str] = []
        self.open: dict[str, ExitStack] = {}

    def ask(self, name: str, size: int) -> None:
        """`name` begins with whoever asks."""
        self.open[name] = self._stack.enter_context(ExitStack())
        self.open[name].enter_context(self._unread.lying(name[0], size, lambda: self.given_up.append(name)))

    def read(self, name: str) -> None:
        self.open[name].close()


@pytest.fixture
def lying():
    with ExitStack() as stack:
        yield Lying(stack, most=1000, of_one=100)


def test_who_lets_too_much_lie_loses_the_oldest_and_nobody_else_anything(lying: Lying):
    lying.ask("bob 1", 90)
    for number in range(4):
        lying.ask(f"ann {number}", 40)
    assert lying.given_up == ["ann 0", "ann 1"]


def test_in_all_the_oldest_goes_whosever_it_is(lying: Lying):
    for name in "abcdefghijkl":
        lying.ask(name, 90)
    assert lying.given_up == ["a"]


def test_what_has_been_read_counts_no_more(lying: Lying):
    lying.ask("ann 0", 60)
    lying.read("ann 0")
    lying.ask("ann 1", 60)
    assert lying.given_up == []


def test_what_was_given_up_counts_no_more_before_it_has_gone(lying: Lying):
    for number in range(3):
        lying.ask(f"ann {number}", 60)
    assert lying.given_up == ["ann 0", "ann 1"]


def test_a_single_answer_may_be_as_long_as_it_is(lying: Lying):
    lying.ask("ann 0", 10)
    lying.ask("ann 1", 5000)
    assert lying.given_up == ["ann 0"]
