"""Who goes where it is full."""

import pytest

from chatorch.entrypoints.common.connection.caps import (
    GRACE_S,
    LOG_S,
    RESERVE,
    SPARE_FILES,
    Caps,
    OpenConnections,
    caps_for,
)
from tests.support.logged import logged


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Guest:
    def __init__(self) -> None:
        self.gone = False

    def make_room(self) -> None:
        self.gone = True


def test_who_has_been_silent_for_longest_goes_but_not_at_once():
    time = Time()
    connections = OpenConnections(Caps(connections=2), time)
    guests = [Guest() for _ in range(4)]
    assert [connections.enter(guest, "a", 9) for guest in guests[:3]] == [None, None, "all"]
    connections.leave(guests[2], "a")
    time.now += GRACE_S
    assert connections.enter(guests[3], "a", 9) is None
    assert [guest.gone for guest in guests] == [True, False, False, False]


def test_who_is_busy_never_goes_and_who_is_idle_goes_at_once():
    connections = OpenConnections(Caps(connections=1), Time())
    first, second, third = Guest(), Guest(), Guest()
    connections.enter(first, None, 9)
    connections.busy(first)
    assert connections.enter(second, None, 9) == "all"
    connections.leave(second, None)
    connections.idle(first, None)
    assert connections.enter(third, None, 9) is None
    assert first.gone


def test_who_is_idle_goes_before_who_is_waited_for():
    time = Time()
    connections = OpenConnections(Caps(connections=3), time)
    silent, first, second = Guest(), Guest(), Guest()
    for guest in (silent, first, second):
        connections.enter(guest, None, 9)
    for guest in (second, first):
        connections.busy(guest)
        connections.idle(guest, None)
    time.now += GRACE_S
    for _ in range(3):
        assert connections.enter(Guest(), None, 9) is None
    assert [guest.gone for guest in (second, first, silent)] == [True] * 3
    newest = Guest()
    assert connections.enter(newest, None, 9) == "all", "who has just come may still be silent"


def test_who_is_waited_for_again_begins_anew_and_is_the_last_to_go():
    time = Time()
    connections = OpenConnections(Caps(connections=2), time)
    drips, silent = Guest(), Guest()
    connections.enter(drips, None, 9)
    connections.enter(silent, None, 9)
    connections.busy(drips)
    time.now += GRACE_S
    connections.wait(drips, None)
    assert connections.enter(Guest(), None, 9) is None
    assert (drips.gone, silent.gone) == (False, True)


def test_however_fast_many_come_from_few_addresses_one_from_another_gets_in():
    time = Time()
    connections = OpenConnections(Caps(connections=100, an_address=50), time)
    crowd = [(Guest(), f"10.0.0.{number % 20}") for number in range(100)]
    for guest, source in crowd:
        assert connections.enter(guest, source, 9) is None
        time.now += GRACE_S / 1000
    assert connections.enter(Guest(), "10.0.0.7", 9) == "all", "has as many as the others"
    assert connections.enter(Guest(), "10.0.9.9", 9) is None
    assert [source for guest, source in crowd if guest.gone] == ["10.0.0.7"], "which had asked once more"


def test_who_left_is_in_nobodys_way():
    connections = OpenConnections(Caps(connections=1), Time())
    for _ in range(3):
        guest = Guest()
        assert connections.enter(guest, "a", 9) is None
        connections.idle(guest, "a")
        connections.leave(guest, "a")
        assert not guest.gone


def test_an_address_that_has_too_many_makes_room_of_its_own():
    time = Time()
    connections = OpenConnections(Caps(connections=9, an_address=1), time)
    theirs, ours, another = Guest(), Guest(), Guest()
    connections.enter(theirs, "b", 9)
    connections.enter(ours, "a", 9)
    time.now += GRACE_S
    assert connections.enter(another, "a", 9) is None
    assert (theirs.gone, ours.gone) == (False, True)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_an_address_of_ipv6_is_its_first_half(one: str, other: str, same: bool):
    connections = OpenConnections(Caps())
    assert (connections.source(one) == connections.source(other)) is same


def test_what_has_no_address_and_what_is_a_proxy_counts_for_nobody():
    connections = OpenConnections(Caps(uncapped=lambda address: address == "10.0.0.1"))
    assert connections.source(None) is connections.source("10.0.0.1") is None


def test_before_the_files_run_out_nobody_is_let_in_even_to_be_told():
    connections = OpenConnections(Caps(files=100))
    assert connections.enter(Guest(), None, 100 - SPARE_FILES) == "files"
    assert not connections.take_reserve(Guest(), "files")


def test_few_are_let_in_to_be_told_and_the_first_of_them_makes_room_for_the_next():
    connections = OpenConnections(Caps())
    guests = [Guest() for _ in range(RESERVE + 2)]
    for guest in guests[: RESERVE + 1]:
        assert connections.take_reserve(guest, "all")
    assert [guest.gone for guest in guests] == [True, *[False] * (RESERVE + 1)]
    connections.leave(guests[5], None)
    assert connections.take_reserve(guests[-1], "all")
    assert not guests[1].gone, "one had left"


def test_the_log_says_it_once_in_a_while_with_how_many():
    time = Time()
    connections = OpenConnections(Caps(), time)
    with logged() as out:
        for now in (100.0, 100.1, 104.0, 100.0 + LOG_S):
            time.now = now
            connections.refused("all")
    assert [line["refused"] for line in out.named("connections_refused")] == [1, 3]


def test_the_log_says_who_had_to_go_too():
    time = Time()
    connections = OpenConnections(Caps(connections=1), time)
    with logged() as out:
        for _ in range(9):
            connections.enter(Guest(), None, 9)
            time.now += GRACE_S
    assert [(line["closed"], line["reason"]) for line in out.named("connections_closed")] == [(1, "all"), (5, "all")]
    assert not out.named("connections_refused")


@pytest.mark.parametrize("files", [64, 128, 256, 1024, 65_536, 1_048_576])
def test_caps_leave_files_for_everything_else(files: int):
    caps = caps_for(files)
    assert 0 < caps.connections <= 10_000
    assert caps.connections + RESERVE + 32 <= files
    assert 0 < caps.an_address <= caps.connections
    assert caps_for(files, 7, 3).connections == 7
