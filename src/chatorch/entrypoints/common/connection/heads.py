"""What the parser lets through and RFC 9112 does not: what two servers on the way could read in two ways."""

import re
from functools import lru_cache

from chatorch.entrypoints.common.connection.cycle import CHUNKLESS
from chatorch.entrypoints.common.refused import UNKNOWN_CODING, UNKNOWN_VERSION, RequestRefused, broken

Headers = list[tuple[bytes, bytes]]

TELLING = frozenset({b"host", b"content-length", b"transfer-encoding"})
VERSIONS = frozenset({"1.0", "1.1"})
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+;=]*|\[[0-9A-Fa-f:.%A-Za-z]+\])(?::[0-9]*)?")
"""A uri-host and a port (RFC 3986, 3.2.2; RFC 9110, 7.2). Without the comma: it is what two of them become."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def body_length(version: str, url: bytes, headers: Headers) -> int | None:  # noqa: C901  # one look at each header
    """In bytes; None for one in chunks. The parser has checked the number, and that there is only one.

    Raises `RequestRefused` for a head that is not clear about where it goes or where its body ends.
    """
    host: bytes | None = None
    length: int | None = 0
    for name, value in headers:
        if name not in TELLING:
            continue
        if name == b"host":
            if host is not None:
                raise broken("Host must be there once")
            host = value
        elif name == b"content-length":
            length = int(value)
        elif version in CHUNKLESS:
            raise broken("HTTP/1.0 has no Transfer-Encoding")
        elif value.lower() != b"chunked":
            raise RequestRefused(*UNKNOWN_CODING)
        else:
            length = None
    if version not in VERSIONS:
        raise RequestRefused(*UNKNOWN_VERSION)
    if host is None:
        if version == "1.1":
            raise broken("Host is missing")
    elif not _is_host(host):
        raise broken("Host does not name a host")
    if b"#" in url:
        raise broken("the address has a fragment")
    return length


def resolve_absolute(url: bytes, headers: Headers) -> bytes:
    """The address without scheme and host, and the host as the only ``Host`` (RFC 9112, 3.2.2).

    Raises `RequestRefused` for one that is no web address, or carries a user (RFC 9110, 4.2.4).
    """
    found = _ABSOLUTE.fullmatch(url)
    if found is None or not found[1] or not _is_host(found[1]):
        raise broken("the address is neither a path nor one of the web")
    headers[:] = [(b"host", found[1]), *((name, value) for name, value in headers if name != b"host")]
    path: bytes = found[2]
    return path if path.startswith(b"/") else b"/" + path


def refusal_of(error: Exception) -> RequestRefused:
    """The parser's own words are fixed phrases, which say what is wrong and repeat nothing."""
    said = str(error)
    plain = said.isascii() and said.isprintable() and 0 < len(said) < 100 and "callback" not in said
    return broken(said[0].lower() + said[1:] if plain else "it cannot be parsed")
