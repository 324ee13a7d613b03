"""Whom an operator trusts to say who asks: addresses and networks of proxies, and whoever comes over a unix socket."""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNIX = "unix"
"""Stands for the peer of a unix socket, which has no address: who may connect is up to the file's mode."""

MAPPED = IPv6Network("::ffff:0:0/96")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def trusted_proxy(text: str) -> str:
    """One that an operator names: an address, a network such as ``10.0.0.0/8``, or ``unix``.

    Raises `ValueError`, which does not repeat the text.
    """
    if text.lower() == UNIX:
        return UNIX
    try:
        return str(_plain_network(text))
    except ValueError:
        raise ValueError("must be addresses, networks such as 10.0.0.0/8, or unix, separated by commas") from None


@lru_cache(maxsize=4096)
def plain_address(text: str) -> Address | None:
    """As whoever has it is known: without a zone, and an IPv4 address even where it came as an IPv6 one (RFC 4291,
    2.5.5.2). None for what is none."""
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class TrustedProxies:
    """Those of `named`, which `trusted_proxy` made. Falsy where there are none."""

    def __init__(self, named: Collection[str] = ()) -> None:
        self.unix = UNIX in named
        self._networks: tuple[Network, ...] = tuple(ip_network(name) for name in named if name != UNIX)
        self.trusts = lru_cache(maxsize=4096)(self._trusts)

    def __bool__(self) -> bool:
        return self.unix or bool(self._networks)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def trusts_peer(named: frozenset[str], peer: str) -> bool:
    """Whether the address of a connection is that of a proxy among `named`, which `trusted_proxy` made."""
    address = plain_address(peer)
    return address is not None and _proxies(named).trusts(address)


@lru_cache(maxsize=1)
def _proxies(named: frozenset[str]) -> TrustedProxies:
    return TrustedProxies(named)


def _plain_network(text: str) -> Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
