"""Who may come in: the origin, and where the token may be. Never in the URL, which others log."""

from email.utils import formatdate
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope
from websockets import http11
from websockets.datastructures import Headers as WireHeaders

from chatorch.domain.model.errors import (
    ChatorchError,
    Forbidden,
    InvalidRequest,
    InvalidToken,
    NotAuthenticated,
    Unavailable,
)
from chatorch.domain.model.identity import Scope as ChatScope
from chatorch.domain.model.policy import require_scope
from chatorch.domain.services.identity.identify import Identified, Identify
from chatorch.entrypoints.common.foreign_origin import foreign_origin
from chatorch.entrypoints.common.middleware.access_log import UNMATCHED
from chatorch.entrypoints.common.origins import AllowedOrigins
from chatorch.entrypoints.common.principal import bearer_token
from chatorch.entrypoints.common.problems import http_problem, problem
from chatorch.entrypoints.common.request_id import begin_request
from chatorch.entrypoints.common.response_headers import sealed
from chatorch.entrypoints.common.websocket.closing import BAD_FRAME, BAD_TOKEN, FAULT, FORBIDDEN, TRY_LATER

SUBPROTOCOL = "chatorch.v1"
BEARER = "bearer."

OF_THE_APPLICATION = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.INTERNAL_SERVER_ERROR})
"""With these uvicorn answers where the application closed, or failed, before it accepted."""

log = structlog.get_logger(__name__)


def foreign(scope: Scope, origins: AllowedOrigins) -> Response | None:
    """What to answer in place of the upgrade to a page that may not connect; None where it may."""
    if found := foreign_origin(scope, origins):
        structlog.contextvars.bind_contextvars(**found)  # for the connection's log line
        return problem(403, "origin_not_allowed", "Pages of this origin may not connect; see CHATORCH_CORS_ORIGINS.")
    return None


def rejection(status: int, request: http11.Request | None, client: str | None = None) -> http11.Response:
    """What to answer to what is no handshake, and never comes to the application. `request` is its head, if read.

    Who speaks another version is told which one is spoken here (RFC 6455, 4.4). Has a line in the log, unless the
    application was asked, and has one. Call it in a context of its own.
    """
    offered = request.headers.get_all("X-Request-ID") if request is not None else []
    request_id = begin_request(offered[0].encode("ascii", "replace") if offered else None)
    structlog.contextvars.clear_contextvars()
    if status == HTTPStatus.BAD_REQUEST:
        response = problem(status, "bad_handshake", "This is no WebSocket handshake of version 13 (RFC 6455).")
    else:
        response = http_problem(status)
    if status not in OF_THE_APPLICATION:
        told = dict(response.failure.told)
        refused = {"refused": told.pop("code"), **told}
        log.info("websocket", route=UNMATCHED, code=status, client=client, request_id=request_id, **refused)
    headers = WireHeaders({name.decode(): value.decode() for name, value in sealed(status, response.raw_headers)})
    headers.update({"Connection": "close", "Date": formatdate(usegmt=True), "X-Request-ID": request_id})
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UPGRADE_REQUIRED}:
        headers["Sec-WebSocket-Version"] = "13"
    return http11.Response(status, HTTPStatus(status).phrase, headers, bytes(response.body))


def upgrade_required() -> Response:
    """To a request that is no WebSocket handshake, mostly because a proxy took the upgrade out of it (RFC 9110, 7.8:
    ``Connection`` and ``Upgrade`` are for one hop)."""
    return problem(
        HTTPStatus.UPGRADE_REQUIRED,
        "upgrade_required",
        "This address is for WebSockets, and the request came without its upgrade: a proxy on the way may have dropped "
        "Connection and Upgrade, which it must be told to pass on, and over HTTP/1.1.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
    )


def unsupported() -> Response:
    """For a server that does not serve sockets by `WireProtocol`."""
    return problem(501, "websocket_unsupported", "This server was not started by `chatorch serve`.")


def offered_token(scope: Scope) -> str | None:
    """The token of the header or of the sub-protocols; None where the first frame must bring it.

    Raises `InvalidToken` for a header that is something else.
    """
    headers = Headers(scope=scope).getlist("authorization")
    if len(headers) > 1:
        raise InvalidToken
    if headers:
        return bearer_token(headers[0])
    return next((name.removeprefix(BEARER) for name in scope["subprotocols"] if name.startswith(BEARER)), None)


def subprotocol(scope: Scope) -> str | None:
    """What the server picks. Never the one with the token, which would come back in a header."""
    return SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None


async def identified(identify: Identify, token: str) -> Identified:
    """Raises `InvalidToken`, `InsufficientScope`, `StoreUnavailable`."""
    holder = await identify.holder(token)
    require_scope(holder.principal, ChatScope.CHAT)
    return holder


def close_code(error: ChatorchError) -> int:
    """For whom this error keeps out."""
    match error:
        case NotAuthenticated():
            return BAD_TOKEN
        case Forbidden():
            return FORBIDDEN
        case Unavailable():
            return TRY_LATER
        case InvalidRequest():
            return BAD_FRAME
    return FAULT
