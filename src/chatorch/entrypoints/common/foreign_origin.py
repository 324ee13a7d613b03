"""Requests of web pages that are neither the operator's nor our own."""

from starlette.datastructures import Headers
from starlette.types import Scope

from chatorch.entrypoints.common.forwarded import PUBLIC_SCHEME
from chatorch.entrypoints.common.origins import AllowedOrigins, is_own, shown_host, shown_origin


def foreign_origin(scope: Scope, origins: AllowedOrigins) -> dict[str, str]:
    """Which origin met which host, for a log; empty where it is one that the operator lists, one of this server's own,
    or no page at all.

    Browsers send ``Origin`` with every WebSocket (RFC 6455, 4.1); other clients need not send it.
    """
    if not any(name == b"origin" for name, _ in scope["headers"]):
        return {}
    headers = Headers(scope=scope)
    given, hosts = headers.getlist("origin"), headers.getlist("host")
    if len(given) == 1 and (is_own(given[0], hosts, scope.get(PUBLIC_SCHEME)) or origins.allows(given[0])):
        return {}
    return {"origin": " ".join(map(shown_origin, given[:2])), "host": " ".join(map(shown_host, hosts[:2]))}
