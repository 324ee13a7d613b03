"""Buckets: what comes back, when, and what is forgotten."""

import pytest

from chatorch.domain.model.addresses import AddressBuckets, is_loopback, networks
from chatorch.domain.model.rates import Buckets, Rate

RATE = Rate(3, 60)


def spend(buckets: Buckets | AddressBuckets, key: str, times: int, now: float = 0) -> None:
    for _ in range(times):
        buckets.spend(key, now)


def test_so_many_at_once_and_then_one_after_the_other() -> None:
    buckets = Buckets(RATE)
    for left in (3, 2, 1):
        assert buckets.room_in("a", 100) == 0, left
        buckets.spend("a", 100)
    assert buckets.room_in("a", 100) == pytest.approx(20)
    assert buckets.room_in("a", 119) == pytest.approx(1)
    assert buckets.room_in("a", 120) == 0
    buckets.spend("a", 120)
    assert buckets.room_in("a", 120) == pytest.approx(20)
    assert buckets.spent("a", 180) == 0


def test_one_has_nothing_to_do_with_another() -> None:
    buckets = Buckets(RATE)
    spend(buckets, "a", 3)
    assert buckets.room_in("b", 0) == 0


def test_who_goes_on_asking_is_not_shut_out_for_longer() -> None:
    buckets = Buckets(RATE)
    spend(buckets, "a", 1000)
    assert buckets.room_in("a", 0) == pytest.approx(20)


def test_filling_gives_all_back() -> None:
    buckets = Buckets(RATE)
    spend(buckets, "a", 3)
    buckets.fill("a")
    assert buckets.spent("a", 0) == 0


def test_a_million_new_names_do_not_free_the_one_that_was_asked_for_most() -> None:
    buckets = Buckets(RATE, most=100)
    spend(buckets, "attacked", 3)
    for number in range(10_000):
        buckets.spend(f"name {number}", number / 10_000)
    assert len(buckets) <= 100
    assert buckets.room_in("attacked", 1) > 0


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.7", ("192.0.2.7",)),
        ("::ffff:192.0.2.7", ("192.0.2.7",)),
        ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48")),
        ("fe80::1%eth0", ("fe80::/64", "fe80::/56", "fe80::/48")),
        ("a name", ("a name",)),
    ],
)
def test_what_an_address_counts_as(address: str, counts_as: tuple[str, ...]) -> None:
    assert networks(address) == counts_as


def test_all_addresses_of_a_network_share_and_wider_networks_share_more() -> None:
    buckets = AddressBuckets(RATE)
    for number in range(3):
        buckets.spend(f"2001:db8::{number}", 0)
    assert buckets.room_in("2001:db8::ffff", 0) > 0
    assert buckets.room_in("2001:db8:0:1::", 0) == 0
    for network in range(1, 4):
        spend(buckets, f"2001:db8:0:{network}::", 3)
    assert buckets.room_in("2001:db8:0:ff::", 0) > 0
    assert buckets.room_in("2001:db8:0:100::", 0) == 0
    assert buckets.room_in("192.0.2.7", 0) == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_what_is_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "localhost", ""])
def test_what_is_not(address: str) -> None:
    assert not is_loopback(address)
