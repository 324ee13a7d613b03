"""The address, what is answered at any other, and one log line a connection."""

from time import perf_counter

import structlog
from fastapi import APIRouter
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from chatorch.entrypoints.common.door import ANYWHERE
from chatorch.entrypoints.common.error_form import REFUSAL_KEY
from chatorch.entrypoints.common.middleware.access_log import UNMATCHED, client_address
from chatorch.entrypoints.common.request_id import HEADER, begin_request
from chatorch.entrypoints.common.websocket.closing import BROKEN
from chatorch.entrypoints.common.websocket.handshake import upgrade_required
from chatorch.entrypoints.ws.needs import given

PATH = "/ws/chat/{client_id}"

log = structlog.get_logger(__name__)


class ChatSocket:
    """An ASGI application of its own, so that nothing of FastAPI's stands between it and the server."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = perf_counter()
        offered = next((value for name, value in scope["headers"] if name == HEADER), None)
        request_id = begin_request(offered)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        sockets = given.of(scope).sockets()
        code = BROKEN
        try:
            code = await sockets.serve(scope, receive, send, [(HEADER, request_id.encode("ascii"))])
            await sockets.partings.mine()  # thousands may end at once, and a line in the log takes its time
        finally:
            log.info(
                "websocket",
                route=PATH if "client_id" in scope["path_params"] else UNMATCHED,
                code=code,
                duration_ms=round((perf_counter() - started_at) * 1000, 2),
                client=client_address(scope),
                **_refusal(scope),
            )


def _refusal(scope: Scope) -> dict[str, object]:
    """Why there was no handshake. `code` is the close's there."""
    told = dict(scope.get(REFUSAL_KEY, {}))
    return {"refused": told.pop("code"), **told} if told else {}


router = APIRouter()


@router.get(PATH, include_in_schema=False)
async def no_upgrade() -> Response:
    """What is answered at the address where only the upgrade is missing."""
    return upgrade_required()


routes = (
    WebSocketRoute(PATH, ChatSocket(), name="chat_socket"),
    WebSocketRoute(ANYWHERE, ChatSocket(), name="no_socket"),
)
"""Left to itself, Starlette refuses a WebSocket to an unknown address as forbidden."""
