"""Signing in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.services.identity.sign_in import SignIn
from chatorch.entrypoints.api.forms import TokenForm
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.schemas import MeOut, TokenResponse
from chatorch.entrypoints.api.views import me_view, token_view
from chatorch.entrypoints.common.middleware.access_log import client_address
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.views import json_response

NOT_STORED = {"Cache-Control": "no-store"}
"""RFC 6749, 5.1."""

router = APIRouter(tags=["identity"])


@router.post("/token", response_model=TokenResponse, responses=problems(401, 429, 503))
async def token(
    request: Request,
    form: Annotated[TokenForm, Form()],
    sign_in: Annotated[SignIn, Depends(given(lambda c: c.sign_in()))],
) -> Response:
    """An access token for a user name and a password (RFC 6749, 4.3)."""
    grant = await sign_in.by_password(form.username, form.password, client_address(request.scope))
    return json_response(token_view(grant.access_token, grant.expires_in, grant.scopes), headers=NOT_STORED)


@router.get("/api/me", response_model=MeOut, responses=problems(401, 403, 503))
async def me(principal: SignedIn) -> Response:
    """Whose token this is."""
    return json_response(me_view(principal))
