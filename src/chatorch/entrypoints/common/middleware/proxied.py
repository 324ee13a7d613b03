"""Before everything else: who asks, and for what, where trusted proxies stand in between."""

from ipaddress import ip_network

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from chatorch.entrypoints.common.door import PREFIX_KEY, Doors
from chatorch.entrypoints.common.error_form import FORM_KEY
from chatorch.entrypoints.common.forwarded import NAMES, PUBLIC_SCHEME, seen_by
from chatorch.entrypoints.common.prefix import leave_out_twice
from chatorch.entrypoints.common.proxies import TrustedProxies, plain_address

HERE = ip_network("100.64.0.0/10")
"""Addresses that providers use between their own machines (RFC 6598), where proxies are, as in private networks."""

log = structlog.get_logger(__name__)


class Proxied:
    """Puts client, scheme and host as trusted proxies saw them into the scope, for HTTP and WebSocket alike; and which
    doors there are.

    What anybody else says in these headers is nothing; where it seems to come from a proxy, the log says so once.
    """

    def __init__(self, app: ASGIApp, *, proxies: TrustedProxies, doors: Doors) -> None:
        self._app = app
        self._form_of = doors.form_of
        self._own = doors.first_segments
        self._proxies = proxies
        self._said: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope.pop(PUBLIC_SCHEME, None)
            scope[FORM_KEY] = self._form_of
            scope[PREFIX_KEY] = scope.get("root_path", "")
            leave_out_twice(scope, self._own)
            if self._trusted(scope):
                self._take_over(scope)
            elif not self._said:
                self._look_for_proxy(scope)
        await self._app(scope, receive, send)

    def _trusted(self, scope: Scope) -> bool:
        if not self._proxies:
            return False
        if _came_by_unix_socket(scope):
            return self._proxies.unix
        peer = plain_address(scope["client"][0]) if scope.get("client") else None
        return peer is not None and self._proxies.trusts(peer)

    def _take_over(self, scope: Scope) -> None:
        seen = seen_by(self._proxies, scope["headers"])
        if seen is None:
            self._say_once(
                "forwarded_contradicts",
                "Forwarded and X-Forwarded-* say different things, so neither counts: the proxy must remove the one "
                "that it does not write",
            )
            return
        if seen.client is not None:
            scope["client"] = seen.client
        if seen.scheme is not None:
            scope[PUBLIC_SCHEME] = seen.scheme
            secure = seen.scheme == "https"
            scope["scheme"] = ("wss" if secure else "ws") if scope["type"] == "websocket" else seen.scheme
        if seen.host is not None:
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [(b"host", seen.host.encode("latin-1")), *others]

    def _look_for_proxy(self, scope: Scope) -> None:
        if any(name in NAMES for name, _ in scope["headers"]) and _may_be_proxy(scope):
            self._say_once(
                "forwarded_ignored",
                "a proxy seems to stand in front, but what it says of its clients counts only where "
                "CHATORCH_TRUSTED_PROXIES names it: till then all of them have its address",
            )

    def _say_once(self, event: str, problem: str) -> None:
        if event not in self._said:
            self._said.add(event)
            log.warning(event, problem=problem)


def _came_by_unix_socket(scope: Scope) -> bool:
    """Such a server has no port. A client without an address may also be one that has left already."""
    server = scope.get("server")
    return scope.get("client") is None and (server is None or server[1] is None)


def _may_be_proxy(scope: Scope) -> bool:
    if _came_by_unix_socket(scope):
        return True
    peer = plain_address(scope["client"][0]) if scope.get("client") else None
    return peer is not None and (peer.is_private or peer in HERE)
