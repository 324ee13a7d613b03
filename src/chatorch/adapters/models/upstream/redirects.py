"""Where a redirect may lead: to another path of the same server, and nowhere else."""

import string
from collections.abc import Sequence
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from chatorch.adapters.models.upstream.errors import failure_of_status
from chatorch.domain.model.upstream_errors import UpstreamMoved

MAX_REDIRECTS = 3

_FOLLOWED = frozenset({301, 302, 307, 308})
_PORTS = {"http": 80, "https": 443}


def is_redirect(status: int) -> bool:
    return 300 <= status < 400


def redirected(url: str, status: int, locations: Sequence[str]) -> str:
    """The address that an answer to a request for `url` names in its `Location` headers, to repeat the request there.

    A request carries the key and what users said, so it stays on the host that the operator named; from http to https
    it may go, on their own ports. User info and fragment are dropped. 301 and 302 repeat a POST as it is: that clients
    make a GET of it is a custom (RFC 9110, 15.4.2), and a GET asks a model nothing. 303 asks for one, so it is refused
    like the other statuses. Raises `UpstreamMoved`.
    """
    if status not in _FOLLOWED:
        raise failure_of_status(status)
    to = _target(url, locations)
    if to is None:
        raise UpstreamMoved("The model's provider redirects without saying where to; see {address}.")
    was = urlsplit(url)
    if was.scheme == "https" and to.scheme == "http":
        raise UpstreamMoved("The model's provider redirects from https to http; see {address}.")
    secured = was.scheme == "http" and to.scheme == "https" and _port(was) == 80 and _port(to) == 443
    if to.hostname != was.hostname or not (secured or (to.scheme, _port(to)) == (was.scheme, _port(was))):
        raise UpstreamMoved("The model's provider redirects to another host or port; see {address}.")
    return to._replace(netloc=to.netloc.rpartition("@")[2], fragment="").geturl()


def encoded(part: str) -> str:
    """Spaces, controls and what is not ASCII in percent-encoding; all else as it was given."""
    return quote(part, safe=string.punctuation, errors="surrogateescape")


def _target(url: str, locations: Sequence[str]) -> SplitResult | None:
    location = encoded(locations[0].strip()) if len(set(locations)) == 1 else ""
    if not location or "\\" in location:  # which some read as a slash
        return None
    try:
        given, to = urlsplit(location), urlsplit(urljoin(url, location))
        whole = bool(given.netloc or not given.scheme) and bool(to.hostname) and to.port != 0
    except ValueError:
        return None
    return to if whole and to.scheme in _PORTS else None


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]
