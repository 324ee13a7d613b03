"""`POST /chatkit`: one address for all that the widget asks for."""

from functools import partial
from typing import Annotated, Any

import structlog
from chatkit.types import is_streaming_req
from fastapi import APIRouter, Body, Depends
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.services.identity.revocation import Revocation
from chatorch.entrypoints.chatkit.needs import Needs, given
from chatorch.entrypoints.chatkit.requests import parsed
from chatorch.entrypoints.chatkit.server import ThreadServer
from chatorch.entrypoints.chatkit.services import Services
from chatorch.entrypoints.chatkit.stream import ChatKitStream
from chatorch.entrypoints.common.disconnect import unless_client_leaves
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.run_responses import EVENT_STREAM
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.unread import WholeAnswer

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "What was asked for, or its events", "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 503),
}


def _services(container: Needs) -> Services:
    return Services(
        runs=container.runs(),
        conversations=container.conversations(),
        items=container.annotations(),
        ids=container.ids(),
        counted=container.metrics().connection,
    )


router = APIRouter(tags=["chatkit"], route_class=StrictRoute)


@router.post("/chatkit", responses=ANSWERED)
async def chatkit(
    request: Request,
    body: Annotated[dict[str, Any], Body()],
    principal: SignedIn,
    services: Annotated[Services, Depends(given(_services))],
    revocation: Annotated[Revocation, Depends(given(lambda c: c.revocation()))],
) -> Response:
    """The self-hosted ChatKit protocol, over the caller's threads."""
    asked = parsed(body)
    server = ThreadServer(services, principal, asked)
    if not is_streaming_req(asked):
        return WholeAnswer(await server.answer(asked))
    # Who leaves before anything is stored has asked for nothing.
    async with unless_client_leaves(request.receive):
        await server.prepare(asked)
    await server.open()
    if server.run is not None:
        structlog.contextvars.bind_contextvars(run_id=server.run.id)
    return ChatKitStream(services, server, scope=request.scope, held=partial(revocation.ending, principal))
