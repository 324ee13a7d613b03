"""An address for sockets, what is answered at any other, and one log line a connection."""

from collections.abc import Callable
from time import perf_counter

import structlog
from fastapi import APIRouter
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.door import ANYWHERE
from chatorch.entrypoints.common.error_form import REFUSAL_KEY
from chatorch.entrypoints.common.middleware.access_log import UNMATCHED, client_address
from chatorch.entrypoints.common.request_id import HEADER, begin_request
from chatorch.entrypoints.common.websocket.closing import BROKEN
from chatorch.entrypoints.common.websocket.handshake import upgrade_required
from chatorch.entrypoints.common.websocket.needs import given
from chatorch.entrypoints.common.websocket.speech import Speech

log = structlog.get_logger(__name__)


class SocketApp:
    """An ASGI application of its own, so that nothing of FastAPI's stands between it and the server.

    `speech` gives, for a connection's scope, how the door speaks there; at an address of no door's there is none.
    """

    def __init__(self, path: str = UNMATCHED, speech: Callable[[Scope], Speech] | None = None) -> None:
        self._path = path
        self._speech = speech

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = perf_counter()
        offered = next((value for name, value in scope["headers"] if name == HEADER), None)
        request_id = begin_request(offered)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        sockets = given.of(scope).sockets()
        speech = None if self._speech is None else self._speech(scope)
        code = BROKEN
        try:
            code = await sockets.serve(scope, receive, send, [(HEADER, request_id.encode("ascii"))], speech)
            await sockets.partings.mine()  # thousands may end at once, and a line in the log takes its time
        finally:
            log.info(
                "websocket",
                route=self._path,
                code=code,
                duration_ms=round((perf_counter() - started_at) * 1000, 2),
                client=client_address(scope),
                **_refusal(scope),
            )


def _refusal(scope: Scope) -> dict[str, object]:
    """Why there was no handshake. `code` is the close's there."""
    told = dict(scope.get(REFUSAL_KEY, {}))
    return {"refused": told.pop("code"), **told} if told else {}


async def _no_upgrade() -> Response:
    """What is answered at the address where only the upgrade is missing."""
    return upgrade_required()


def socket_routes(path: str, speech: Callable[[Scope], Speech]) -> tuple[BaseRoute, ...]:
    """Of a door that speaks at this path. Left to itself, Starlette refuses a WebSocket elsewhere as forbidden."""
    router = APIRouter()
    router.add_api_route(path, _no_upgrade, methods=["GET"], include_in_schema=False)
    return (
        *router.routes,
        WebSocketRoute(path, SocketApp(path, speech)),
        WebSocketRoute(ANYWHERE, SocketApp()),
    )
