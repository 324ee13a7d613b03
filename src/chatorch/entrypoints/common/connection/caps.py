"""How many may be connected to this process, in all and from one address, and who must go where it is full.

Where it is full, an idle connection goes first: that costs its client nothing. Then goes whoever has been waited for
longest: for a head, for a body, for the token of a WebSocket, or to take in an answer. So nobody holds a place by doing
nothing; nor by coming fast, for the address with the most must make room for one with fewer. Where nobody can go, a few
more are let in, to be told so, or how the service is (`/health`), for as long as the next ones leave them.
"""

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, Protocol

import structlog
import uvicorn

from chatorch.entrypoints.common.problems import problem
from chatorch.entrypoints.common.refused import RETRY_AFTER_S, TOO_MANY_CONNECTIONS
from chatorch.entrypoints.common.request_id import begin_request
from chatorch.entrypoints.common.response_headers import sealed

MOST = 10_000
MOST_FILES = 1_048_576
OTHER_FILES = 64
"""For the database, Redis and what the process itself opens; upstream connections come beside them."""
RESERVE = 16
SPARE_FILES = 8
LOG_S = 5.0
GRACE_S = 1.0
"""A client may keep us waiting for so long, however full it is."""
CONNECTIONS_KEY = "chatorch_connections"
STATE_KEY = "chatorch.connection_refused"
"""Where in the lifespan's state the application leaves a function that counts: it is told the reason."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caps:
    """For one process. `files` is how many it may have open, `uncapped` whether an address is no client's own."""

    connections: int = MOST
    an_address: int = MOST
    files: int = MOST_FILES
    uncapped: Callable[[str], bool] | None = None


class CappedConfig(uvicorn.Config):
    """uvicorn's, and what `HttpConnection` is to know beside it."""

    def __init__(self, *args: Any, caps: Caps | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caps = caps or Caps()


def raise_file_limit() -> int:
    """Raises this process's, and that of its children to come, as far as it may; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if most > soft != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def caps_for(
    files: int,
    connections: int | None = None,
    an_address: int | None = None,
    uncapped: Callable[[str], bool] | None = None,
) -> Caps:
    """What is not given follows from `files`: each stream may hold a connection to the provider, too."""
    most = connections or min(MOST, max(RESERVE, (files - OTHER_FILES - RESERVE) * 2 // 3))
    return Caps(most, an_address or max(1, most // 2), files, uncapped)


class Guest(Protocol):
    """A connection, as it is counted."""

    def make_room(self) -> None: ...


class OpenConnections:
    """Who is connected. One for a server."""

    def __init__(self, caps: Caps, now: Callable[[], float] = time.monotonic) -> None:
        self._caps = caps
        self._now = now
        self._open = 0
        self._reserve: dict[Guest, None] = {}
        self._by_address: dict[str, int] = {}
        self._idle: dict[Guest, str | None] = {}
        self._waiting: dict[Guest, tuple[float, str | None]] = {}
        """The first of them has waited longest."""
        self._refused = Told("connections_refused", caps)
        self._closed = Told("connections_closed", caps)

    @classmethod
    def of(cls, server_state: Any, caps: Caps) -> "OpenConnections":
        connections: OpenConnections | None = vars(server_state).get(CONNECTIONS_KEY)
        if connections is None:
            connections = vars(server_state)[CONNECTIONS_KEY] = cls(caps)
        return connections

    def source(self, address: str | None) -> str | None:
        """Who has this address, as it counts here; None where it does not count."""
        if address is None or (self._caps.uncapped is not None and self._caps.uncapped(address)):
            return None
        return _source(address)

    def enter(self, guest: Guest, source: str | None, file: int) -> str | None:
        """None for one that may stay; else the reason why not, ``all``, ``address`` or ``files``, and `take_reserve`
        tells whether it may at least be answered. `file` is its number, which is the lowest that was free."""
        self._open += 1
        if source is not None:
            self._by_address[source] = self._by_address.get(source, 0) + 1
        reason = self._over(source, file)
        if reason is not None and self._make_room(reason, source):
            self._closed.one(reason, self._open, self._now())
            reason = None
        if reason is None:
            self._waiting[guest] = (self._now(), source)
        return reason

    def leave(self, guest: Guest, source: str | None) -> None:
        self.busy(guest)
        self._reserve.pop(guest, None)
        self._open -= 1
        if source is not None:
            left = self._by_address[source] - 1
            if left:
                self._by_address[source] = left
            else:
                del self._by_address[source]

    def busy(self, guest: Guest) -> None:
        """A request is under way, and all of it has come."""
        self._waiting.pop(guest, None)
        self._idle.pop(guest, None)

    def wait(self, guest: Guest, source: str | None) -> None:
        """From now on its client is waited for."""
        self.busy(guest)  # it goes to the end
        self._waiting[guest] = (self._now(), source)

    def idle(self, guest: Guest, source: str | None) -> None:
        """Its request is answered. It may go at once, but those that have been idle for longer go before it."""
        self._waiting.pop(guest, None)
        self._idle[guest] = source

    def take_reserve(self, guest: Guest, reason: str) -> bool:
        """Whether it may be told so. Where too many are being told, the first of them makes room: it had its time."""
        if reason == "files":
            return False
        if len(self._reserve) >= RESERVE:
            first = next(iter(self._reserve))
            del self._reserve[first]
            first.make_room()
        self._reserve[guest] = None
        return True

    def refused(self, reason: str) -> None:
        self._refused.one(reason, self._open, self._now())

    def _over(self, source: str | None, file: int) -> str | None:
        if file >= self._caps.files - SPARE_FILES:
            return "files"
        if self._open > self._caps.connections:
            return "all"
        if source is not None and self._by_address[source] > self._caps.an_address:
            return "address"
        return None

    def _make_room(self, reason: str, source: str | None) -> bool:
        """Closes one, of this address where it is that which has too many."""
        guest = self._who_goes(reason, source)
        if guest is None:
            return False
        self.busy(guest)
        guest.make_room()
        return True

    def _who_goes(self, reason: str, source: str | None) -> Guest | None:
        for guest, whose in self._idle.items():
            if reason != "address" or whose == source:
                return guest
        until = self._now() - GRACE_S
        for guest, (since, whose) in self._waiting.items():
            if since > until:
                break
            if reason != "address" or whose == source:
                return guest
        return self._of_the_greediest(source) if reason == "all" else None

    def _of_the_greediest(self, source: str | None) -> Guest | None:
        """Who opens connections faster than they grow old must not keep out who opens one."""
        if source is None or not self._by_address:
            return None
        greediest = max(self._by_address, key=self._by_address.__getitem__)
        if self._by_address[greediest] <= self._by_address[source]:
            return None
        return next((guest for guest, (_, whose) in self._waiting.items() if whose == greediest), None)


class Told:
    """Counts, and logs at most once in `LOG_S` how many it were."""

    def __init__(self, event: str, caps: Caps) -> None:
        self._event = event
        self._caps = caps
        self._count = 0
        self._at = -LOG_S

    def one(self, reason: str, open_: int, now: float) -> None:
        self._count += 1
        if now - self._at >= LOG_S:
            what = {self._event.removeprefix("connections_"): self._count}
            log.warning(self._event, reason=reason, open=open_, **what, **_shown(self._caps))
            self._at, self._count = now, 0


@lru_cache(maxsize=1024)
def _source(address: str) -> str:
    """Whose address it is: of IPv6 the first 64 bits, of which one client has all the rest (RFC 4291, 2.5.4)."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
    return address


def _shown(caps: Caps) -> dict[str, int]:
    return {"most": caps.connections, "most_of_an_address": caps.an_address, "files": caps.files}


def full_house() -> bytes:
    """The whole answer to who is not even listened to."""
    return copy_context().run(_full_house)


def _full_house() -> bytes:
    status, code, detail = TOO_MANY_CONNECTIONS
    request_id = begin_request(None)
    answer = problem(status, code, detail, headers={"Connection": "close", "Retry-After": RETRY_AFTER_S})
    headers = sealed(status, [*answer.raw_headers, (b"x-request-id", request_id.encode())])
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, HTTPStatus(status).phrase.encode(), lines, bytes(answer.body))
