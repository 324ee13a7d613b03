"""`POST /chatkit`: one address for all that the widget asks for."""

from typing import Annotated, Any

import structlog
from chatkit.types import is_streaming_req
from fastapi import APIRouter, Body, Depends
from starlette.responses import Response

from chatorch.domain.model.identity import Principal
from chatorch.entrypoints.chatkit.requests import parsed
from chatorch.entrypoints.chatkit.server import Behind, ThreadServer
from chatorch.entrypoints.chatkit.stream import ChatKitStream
from chatorch.entrypoints.http.answers import EVENT_STREAM
from chatorch.entrypoints.http.dependencies import SignedIn, provided
from chatorch.entrypoints.http.openapi import problems
from chatorch.entrypoints.http.strict_json import StrictRoute

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "What was asked for, or its events", "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 503),
}


def _behind(container: Any) -> Behind:
    return Behind(
        runs=container.runs(),
        conversations=container.conversations(),
        items=container.items(),
        ids=container.ids(),
        counted=container.metrics().connection,
    )


router = APIRouter(tags=["chatkit"], route_class=StrictRoute)


@router.post("/chatkit", responses=ANSWERED)
async def chatkit(
    body: Annotated[dict[str, Any], Body()],
    principal: SignedIn,
    behind: Annotated[Behind, Depends(provided(_behind))],
) -> Response:
    """The self-hosted ChatKit protocol, over the caller's threads."""
    return await _answer(body, principal, behind)


async def _answer(body: dict[str, Any], principal: Principal, behind: Behind) -> Response:
    request = parsed(body)
    server = ThreadServer(behind, principal, request)
    if not is_streaming_req(request):
        return Response(await server.answer(request), media_type="application/json")
    head, rest = await server.begin(request)
    if server.run is not None:
        structlog.contextvars.bind_contextvars(run_id=server.run.id)
    return ChatKitStream(behind, server, head, rest)
