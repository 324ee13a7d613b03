"""`GET /v1/models`: what a client may name as `model`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch.domain.model.errors import ModelNotAllowed
from chatorch.domain.model.policy import ChatPolicy
from chatorch.entrypoints.common.fields import Described
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedInOrGuest
from chatorch.entrypoints.common.views import Json, json_response
from chatorch.entrypoints.openai.needs import given
from chatorch.entrypoints.openai.strict import OpenAIRoute

OWNER = "chatorch"
UNKNOWN_TIME = 0
"""When a model was made is its provider's to know; libraries want a number."""

Policy = Annotated[ChatPolicy, Depends(given(lambda c: c.policy()))]

router = APIRouter(prefix="/v1/models", tags=["openai"], route_class=OpenAIRoute)


class ModelOut(Described):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsOut(Described):
    object: Literal["list"]
    data: list[ModelOut]


@router.get("", response_model=ModelsOut, responses=problems(401, 403, 503))
async def list_models(principal: SignedInOrGuest, policy: Policy) -> Response:  # noqa: ARG001
    """Those that have a name, the default one first; where any is allowed, there are more."""
    return json_response({"object": "list", "data": [_view(policy, name) for name in policy.named_models]})


@router.get("/{model:path}", response_model=ModelOut, responses=problems(401, 403, 404, 503))
async def read_model(model: str, principal: SignedInOrGuest, policy: Policy) -> Response:  # noqa: ARG001
    """One that is allowed, listed or not. Its name may hold slashes."""
    if not policy.allows(model):
        raise ModelNotAllowed
    return json_response(_view(policy, model))


def _view(policy: ChatPolicy, name: str) -> Json:
    owner = policy.model_names.find(name).provider or OWNER
    return {"id": name, "object": "model", "created": UNKNOWN_TIME, "owned_by": owner}
