"""What proxies say of a request: who asked, by which scheme, for which host (RFC 7239, and ``X-Forwarded-…``)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatorch.entrypoints.common.origins import PORTS, sent_origin
from chatorch.entrypoints.common.proxies import Address, TrustedProxies, plain_address

FORWARDED = b"forwarded"
FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
X_FORWARDED = frozenset({FOR, PROTO, HOST})
PUBLIC_SCHEME = "chatorch.public_scheme"
"""In the scope where a trusted proxy has told it: ``http`` or ``https``."""
NAMES = X_FORWARDED | {FORWARDED}

MAX_HOPS = 32
"""More proxies than any request passes. What lies behind them counts as garbage, and costs nothing."""

Headers = Iterable[tuple[bytes, bytes]]

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=({_QUOTED}|[^\s\",;=]*)[ \t]*(?:([;,])|$)|[ \t]*([;,]|$)")
_NODE = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}|_[A-Za-z0-9._-]+))?")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the trusted proxies saw. None is what they do not tell, or not so that it can be read."""

    client: tuple[str, int] | None = None
    """Address, and port, which is 0 where it is not told."""
    scheme: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class _Hop:
    node: str = ""
    scheme: str = ""
    host: str = ""


def seen_by(proxies: TrustedProxies, headers: Headers) -> Seen | None:
    """What headers of a request say that came from one of `proxies`. None where they contradict each other.

    Who writes one kind of header mostly hands on the other kind as the client sent it. So where both are there, they
    must say the same; else nobody knows which one is the proxy's.
    """
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in NAMES:
            found.setdefault(name, []).append(value.decode("latin-1"))
    told = []
    if FORWARDED in found:
        told.append(_seen(proxies, _standard_hops(", ".join(found[FORWARDED]))))
    if found.keys() & X_FORWARDED:
        told.append(_seen(proxies, _usual_hops(found)))
    if not told:
        return Seen()
    return told[0] if all(seen == told[0] for seen in told) else None


def _seen(proxies: TrustedProxies, hops: list[_Hop]) -> Seen:
    """`hops` begin with what the nearest proxy says. The first one that was nobody's whom we trust is the client's."""
    client: tuple[Address, int] | None = None
    last = hops[0] if hops else _Hop()
    for hop in hops[:MAX_HOPS]:
        node = _node(hop.node)
        if node is None:
            client = None
            break
        client, last = node, hop
        if not proxies.trusts(node[0]):
            break
    else:
        if len(hops) > MAX_HOPS:
            client = None
    return Seen(None if client is None else (str(client[0]), client[1]), _scheme(last.scheme), _host(last.host))


def _usual_hops(found: dict[bytes, list[str]]) -> list[_Hop]:
    """Schemes and hosts stand beside addresses one by one, where every proxy adds its own; else there is one for all,
    or the nearest proxy's own counts."""
    nodes, schemes, hosts = (_reversed(found.get(name, ())) for name in (FOR, PROTO, HOST))

    def beside(values: list[str], number: int) -> str:
        if not values:
            return ""
        return values[number] if len(values) == len(nodes) else values[0]

    return [
        _Hop(node, beside(schemes, number), beside(hosts, number)) for number, node in enumerate(nodes or [""])
    ]  # fmt: skip


def _reversed(values: Iterable[str]) -> list[str]:
    """No more of them than count, and one."""
    return [part.strip() for part in ",".join(values).rsplit(",", MAX_HOPS + 1)][: -MAX_HOPS - 2 : -1] if values else []


def _standard_hops(text: str) -> list[_Hop]:
    """Nothing at all of a header that cannot be read to its end: where one element ends could be anywhere then."""
    hops, pairs = [], dict[str, str]()
    for name, value, end in _pairs(text):
        if end == "?":
            return [_Hop("?")]
        if name:
            pairs.setdefault(name, value)
        if end == "," or (end == "" and pairs):
            hops.append(_Hop(pairs.get("for", ""), pairs.get("proto", ""), pairs.get("host", "")))
            pairs = {}
    return hops[::-1]


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, value, and what ends them: ``;``, ``,``, nothing at the end of the text, ``?`` where it cannot be read."""
    place = 0
    while place <= len(text):
        match = _PAIR.match(text, place)
        if match is None:
            yield "", "", "?"
            return
        name, value, end, empty = match.groups()
        if name is None:
            end = empty
        elif value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield (name or "").lower(), value or "", end or ""
        if not end:
            return
        place = match.end()


def _node(text: str) -> tuple[Address, int] | None:
    """An address with or without a port; None for ``unknown``, for a name that hides it, and for garbage."""
    if text.count(":") > 1 and not text.startswith("["):
        address, port = plain_address(text), None  # as X-Forwarded-For has it
    elif match := _NODE.fullmatch(text):
        address, port = plain_address(match["v6"] or match["v4"]), match["port"]
        if match["v6"] and ":" not in match["v6"]:
            return None
    else:
        return None
    if address is None:
        return None
    number = int(port) if port and port.isdigit() else 0
    return (address, number) if number < 2**16 else None


def _scheme(text: str) -> str | None:
    scheme = {"ws": "http", "wss": "https"}.get(text.lower(), text.lower())
    return scheme if scheme in PORTS else None


def _host(text: str) -> str | None:
    return text if text and sent_origin(f"http://{text}") else None
