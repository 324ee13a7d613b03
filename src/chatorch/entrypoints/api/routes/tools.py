"""What of the operator's tools the caller's models may call."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch.domain.services.toolbox import Toolbox
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.schemas import ToolsOut
from chatorch.entrypoints.api.views import tool_view
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import json_response

ToolboxDep = Annotated[Toolbox, Depends(given(lambda c: c.toolbox()))]

router = APIRouter(prefix="/api/tools", tags=["tools"], route_class=StrictRoute)


@router.get("", response_model=ToolsOut, responses=problems(401, 403, 503))
async def list_tools(
    principal: SignedIn, toolbox: Annotated[Toolbox, Depends(given(lambda c: c.toolbox()))]
) -> Response:
    """Those that can be called now, by name."""
    await toolbox.settle()
    return json_response({"data": [tool_view(tool) for tool in toolbox.offered(principal)]})
