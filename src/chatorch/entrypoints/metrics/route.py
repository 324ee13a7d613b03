"""For who runs it: what is it doing."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.errors import InvalidToken, NotAuthenticated
from chatorch.entrypoints.common.local import is_local
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.problems import problem
from chatorch.entrypoints.common.views import json_response
from chatorch.entrypoints.metrics.metrics import CONTENT_TYPE
from chatorch.entrypoints.metrics.needs import given
from chatorch.entrypoints.metrics.schemas import MetricsOut
from chatorch.entrypoints.metrics.scrapes import Scrapes
from chatorch.entrypoints.settings import Settings

router = APIRouter(tags=["operation"])

Operator = Annotated[Settings, Depends(given(lambda c: c.settings()))]


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    response_model=MetricsOut,
    responses={200: {"content": {"text/plain": {}}}, **problems(401, 403)},
)
async def metrics(
    request: Request,
    settings: Operator,
    scrapes: Annotated[Scrapes, Depends(given(lambda c: c.scrapes()))],
    accept: Annotated[str, Header()] = "",
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Of this server's workers together: Prometheus text, or a few figures for who accepts ``application/json``.

    Up to a second old. Without `CHATORCH_METRICS_TOKEN` only for this machine itself.
    """
    if settings.metrics_token is not None:
        _require(settings.metrics_token.get_secret_value(), authorization)
    elif not is_local(request.scope):
        return problem(403, "metrics_closed", "Without CHATORCH_METRICS_TOKEN, only loopback may read the metrics.")
    if "application/json" in accept:
        return json_response(await scrapes.figures.get())
    return Response(await scrapes.text.get(), headers={"Content-Type": CONTENT_TYPE})


def _require(token: str, authorization: str | None) -> None:
    if authorization is None:
        raise NotAuthenticated
    scheme, _, given = authorization.partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not right:
        raise InvalidToken
