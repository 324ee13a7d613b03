"""Whom an IP address counts as."""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

from chatorch.domain.model.rates import Buckets, Rate

NETWORKS = ((64, 1), (56, 4), (48, 16))
"""Who has one IPv6 address has all of its /64 (RFC 4291, 2.5.4), and mostly a /56 or a /48 (RFC 6177): the length of a
prefix, and how many times as much as one address all within it may do together."""
FACTORS = tuple(factor for _, factor in NETWORKS)


@lru_cache(maxsize=4096)
def networks(address: str) -> tuple[str, ...]:
    """What an address counts as, from narrow to wide: an IPv4 address itself, an IPv6 address its networks.

    What is no address counts as itself.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return (address,)
    if not isinstance(ip, IPv6Address):
        return (str(ip),)
    if ip.ipv4_mapped is not None:
        return (str(ip.ipv4_mapped),)
    return tuple(str(IPv6Network((ip, length), strict=False)) for length, _ in NETWORKS)


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


class AddressBuckets:
    """Buckets for addresses, and for the networks that they are in."""

    def __init__(self, rate: Rate) -> None:
        self._levels = tuple(Buckets(rate.times(factor)) for factor in FACTORS)
        self.rate = rate

    def spent(self, address: str, now: float) -> float:
        return self._levels[0].spent(networks(address)[0], now)

    def room_in(self, address: str, now: float) -> float:
        """After how many seconds there is room at all levels; 0 where there is now."""
        return max(level.room_in(key, now) for level, key in self._at(address))

    def spend(self, address: str, now: float) -> None:
        for level, key in self._at(address):
            level.spend(key, now)

    def _at(self, address: str) -> Iterator[tuple[Buckets, str]]:
        return zip(self._levels, networks(address), strict=False)
