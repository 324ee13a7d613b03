"""Origins of web pages (RFC 6454; WHATWG HTML, 7.1.1): which ones an operator allows, over HTTP and WebSocket alike."""

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import idna

ANY = "*"
WILDCARD = "*."

PORTS = {"http": 80, "https": 443}
"""What is left out where it is the default (RFC 6454, 4)."""

DEAD_SCHEMES = frozenset({"about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"})
"""No page has one of these in its origin: a browser sends ``null``, or that of the page around it."""

EXAMPLE = "https://chat.example.com"
MAX_SHOWN = 255

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/?#@\\%\s]+)(?::(?P<port>[0-9]{1,5}))?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_APP_HOST = re.compile(r"[a-z0-9._~-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def canonical_origin(text: str) -> str:
    """As a browser writes it: small letters, punycode, no default port. Raises `ValueError` for what no browser sends.

    Pages of apps have schemes of their own (``tauri://localhost``, ``chrome-extension://<id>``).
    """
    return _written(*_parts(text))


def allowed_origin(text: str) -> str:
    """One that an operator names: ``*``, an origin, or one for all subdomains (``https://*.example.com``).

    A ``/`` at the end is forgiven. Raises `ValueError`, which does not repeat the text.
    """
    if text == ANY:
        return ANY
    if text.lower() == "null":
        raise ValueError("must not be null: any page can have that origin")
    text = text.removesuffix("/")
    scheme, _, rest = text.partition("://")
    if ANY not in text:
        return canonical_origin(text)
    domain = rest.removeprefix(WILDCARD)
    if scheme.lower() not in PORTS or domain == rest or ANY in domain:
        raise ValueError("may have a * only in place of all subdomains, as in https://*.example.com")
    scheme, host, port = _parts(f"{scheme}://{domain}")
    if _is_address(host) or ("." not in host.rstrip(".") and host != "localhost"):
        raise ValueError("must have a domain of somebody's behind the *, as in https://*.example.com")
    return _written(scheme, WILDCARD + host, port)


def sent_origin(header: str) -> str | None:
    """What a header `Origin` says; None for what no browser sends."""
    try:
        return canonical_origin(header) if header.isascii() else None
    except ValueError:
        return None


def is_own(origin: str, hosts: Collection[str], public_scheme: str | None = None) -> bool:
    """Whether a page of this origin, as a header `Origin` has it, is one of the server's that the request was for.

    `hosts` are its headers `Host`, `public_scheme` the scheme that was asked for, where that is known: whoever ends TLS
    before us may hide it, but not the host. A dot at the end of a name changes how it is looked up, not whose it is.
    """
    page = sent_origin(origin)
    if page is None or len(hosts) != 1:
        return False
    scheme = page.partition("://")[0]
    if scheme not in PORTS or public_scheme not in {None, scheme}:
        return False
    server = sent_origin(f"{scheme}://{next(iter(hosts))}")
    return server is not None and _without_dot(server) == _without_dot(page)


def shown_origin(header: str) -> str:
    """What a header `Origin` says, for a log; what no browser sends is not repeated."""
    origin = sent_origin(header)
    return (origin or ("null" if header == "null" else "unreadable"))[:MAX_SHOWN]


def shown_host(header: str) -> str:
    """The same for a header `Host`."""
    return shown_origin(f"http://{header}").removeprefix("http://")


class AllowedOrigins:
    """Those of `named`, which `allowed_origin` made. Falsy where there are none."""

    def __init__(self, named: Collection[str] = ()) -> None:
        self.any = ANY in named
        self._exact = frozenset(origin for origin in named if ANY not in origin)
        self._domains = frozenset(origin for origin in named if WILDCARD in origin)
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def __bool__(self) -> bool:
        return self.any or bool(self._exact or self._domains)

    def _allows(self, origin: str) -> bool:
        """Whether a page of this origin, as a header `Origin` has it, may call. Never ``null``: anybody can be that."""
        canonical = sent_origin(origin)
        if canonical is None:
            return False
        return self.any or canonical in self._exact or self._is_part(canonical)

    def _is_part(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        if not self._domains or scheme not in PORTS:
            return False
        labels = host.split(".")
        return any(
            f"{scheme}://{WILDCARD}{'.'.join(labels[start:])}" in self._domains for start in range(1, len(labels))
        )


def _parts(text: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, which is None for the default one."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"must be *, or origins such as {EXAMPLE}, without a path")
    scheme, host = match["scheme"], match["host"]
    if scheme in DEAD_SCHEMES:
        raise ValueError(f"must not have the scheme {scheme}, which no page has in its origin")
    host = _web_host(host) if scheme in PORTS else _app_host(host)
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 2**16:
        raise ValueError("must have a port from 1 to 65535, or none")
    return scheme, host, None if port == PORTS.get(scheme) else port


def _written(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{host}" + ("" if port is None else f":{port}")


def _without_dot(origin: str) -> str:
    scheme, host, port = _parts(origin)
    return _written(scheme, host.removesuffix("."), port)


def _app_host(host: str) -> str:
    if not _APP_HOST.fullmatch(host):
        raise ValueError("must have a plain host behind the scheme, such as tauri://localhost")
    return host


def _web_host(host: str) -> str:
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            raise ValueError("must have a host that is a name or an address") from None
    name, dot = (host[:-1], ".") if host.endswith(".") else (host, "")
    try:
        # As browsers do it (UTS 46).
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("must have a host that is a name or an address; write it as a browser shows it") from None
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("must have a host that is a name or an address")
    if _NUMBER.fullmatch(name.rpartition(".")[2]) and not _is_address(name):
        raise ValueError("must have an address of four numbers, or a name")
    return name + dot


def _is_address(host: str) -> bool:
    if host.startswith("["):
        return True
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
