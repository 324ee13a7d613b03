"""Telling everyone who is connected."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch.domain.services.presence import Presence
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.schemas import AnnouncementOut, BroadcastRequest
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import announcement_view, json_response

router = APIRouter(prefix="/api/broadcast", tags=["live"], route_class=StrictRoute)


@router.post("", response_model=AnnouncementOut, responses=problems(401, 403, 503))
async def broadcast(
    body: BroadcastRequest,
    principal: SignedIn,
    presence: Annotated[Presence, Depends(given(lambda c: c.presence()))],
) -> Response:
    """Sends an announcement to every WebSocket of every process. Needs the scope `admin`."""
    return json_response(announcement_view(await presence.announce(principal, body.text)))
