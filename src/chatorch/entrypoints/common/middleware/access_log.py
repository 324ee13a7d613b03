"""The outermost layer: every request gets an id, one log line and its place in the metrics."""

from functools import lru_cache
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from chatorch.entrypoints.common.connection.caps import STATE_KEY
from chatorch.entrypoints.common.counters import Counters
from chatorch.entrypoints.common.error_form import REFUSAL_KEY
from chatorch.entrypoints.common.foreign_origin import foreign_origin
from chatorch.entrypoints.common.middleware.exchange import SCOPE_KEY, Exchange
from chatorch.entrypoints.common.origins import AllowedOrigins
from chatorch.entrypoints.common.proxies import plain_address
from chatorch.entrypoints.common.request_id import HEADER, begin_request

log = structlog.get_logger(__name__)

UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ROUTINE = ("/health", "/metrics")
"""Asked every few seconds by machines: logged at DEBUG where all is well."""


class Access:
    """Logs and counts by route template: a path can hold ids and, by mistake, secrets.

    Of a request that was refused the line says why: the problem's code and detail, and what only operators are told.
    Where a page asks that may not, the line says which origin met which host: a browser tells only its user.
    """

    def __init__(self, app: ASGIApp, *, metrics: Counters, origins: AllowedOrigins) -> None:
        self._app = app
        self._origins = origins
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan" and "state" in scope:
                scope["state"][STATE_KEY] = self._metrics.connection_refused
            await self._app(scope, receive, send)
            return
        started_at = perf_counter()
        request_id = begin_request(_offered_id(scope))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        exchange = scope[SCOPE_KEY] = Exchange(request_id, send)
        route: str | None = None
        try:
            await self._app(scope, receive, exchange)
            if (rest := exchange.rest) is not None:
                route = route_template(scope)
                _let_go(scope)
                await rest(receive, send)
        finally:
            self._record(scope, route or route_template(scope), exchange.status, perf_counter() - started_at)

    def _record(self, scope: Scope, route: str, status: int, duration_s: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self._metrics.request_done(route, method, status, duration_s)
        say = log.debug if route.startswith(ROUTINE) and status < 400 else log.info
        say(
            "request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(duration_s * 1000, 2),
            client=client_address(scope),
            **{**scope.get(REFUSAL_KEY, {}), **foreign_origin(scope, self._origins)},
        )


def route_template(scope: Scope) -> str:
    """Such as ``/api/runs/{run_id}``; ``unmatched`` where no route is.

    FastAPI keeps an included router's prefix apart from its routes (`fastapi.routing._EffectiveRouteContext`).
    """
    route = scope.get("route")
    if route is None:
        return UNMATCHED
    included = scope.get("fastapi", {}).get("effective_route_context")
    template = getattr(included, "path_format", None) or getattr(route, "path_format", None)
    return template if isinstance(template, str) else UNMATCHED


def _let_go(scope: Scope) -> None:
    """Of what FastAPI keeps for a request that is being answered, three exit stacks among it."""
    for name in [name for name in scope if name.startswith("fastapi")]:
        del scope[name]


def client_address(scope: Scope) -> str | None:
    """The client's IP address, as whoever has it is known. None for anything else."""
    client = scope.get("client")
    if not client:
        return None
    return _address(client[0])


@lru_cache(maxsize=1024)
def _address(given: str) -> str | None:
    address = plain_address(given)
    return None if address is None else str(address)


def _offered_id(scope: Scope) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == HEADER), None)
