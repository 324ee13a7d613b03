"""For who runs it: is it alive, may it have traffic, and what is it doing."""

import asyncio
import hmac
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Depends, Header
from starlette.responses import Response

from chatorch import __version__
from chatorch.domain.model.errors import InvalidToken, NotAuthenticated
from chatorch.entrypoints.fleet import Fleet
from chatorch.entrypoints.http.dependencies import provided
from chatorch.entrypoints.http.openapi import problems
from chatorch.entrypoints.http.schemas import HealthOut, MetricsOut, ReadyOut
from chatorch.entrypoints.http.views import json_response, rfc3339
from chatorch.entrypoints.metrics import CONTENT_TYPE
from chatorch.entrypoints.settings import Settings

SERVICE = "chat-orchestration-api"
PING_LIMIT_S = 2.0

log = structlog.get_logger(__name__)
router = APIRouter(tags=["operation"])

Operator = Annotated[Settings, Depends(provided(lambda c: c.settings()))]
Executions = Annotated[Any, Depends(provided(lambda c: c.executions()))]
Database = Annotated[Any, Depends(provided(lambda c: c.database()))]
Backplane = Annotated[Any, Depends(provided(lambda c: c.backplane()))]


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=HealthOut, response_model_exclude_none=True)
async def health(executions: Executions, settings: Operator, backplane: Backplane) -> Response:
    """200 as long as the process answers, also while it drains, or Redis is away."""
    body = {
        "status": "draining" if executions.draining else "healthy",
        "timestamp": rfc3339(datetime.now(UTC)),
        "service": SERVICE,
        "version": __version__,
    }
    if settings.offline:
        body["model"] = "offline"
    if backplane.redis_up is not None:
        body["redis"] = "up" if backplane.redis_up() else "down"
    return json_response(body)


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> dict[Literal["status"], Literal["alive"]]:
    """200 as long as the event loop turns; nothing else is looked at."""
    return {"status": "alive"}


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", response_model=ReadyOut, responses={503: {"model": ReadyOut}})
async def ready(executions: Executions, database: Database) -> Response:
    """503 while draining, or where the database does not answer within 2 s: send traffic elsewhere."""
    checks = {"database": await _answers(database), "runs": "draining" if executions.draining else "ok"}
    well = all(check == "ok" for check in checks.values())
    return json_response({"status": "ready" if well else "unready", "checks": checks}, 200 if well else 503)


@router.get(
    "/metrics",
    response_model=MetricsOut,
    responses={200: {"content": {"text/plain": {}}}, **problems(401)},
)
async def metrics(
    settings: Operator,
    fleet: Annotated[Fleet, Depends(provided(lambda c: c.fleet()))],
    accept: Annotated[str, Header()] = "",
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Prometheus text of this server's workers; for who accepts ``application/json`` a few figures of all servers."""
    if settings.metrics_token is not None:
        _require(settings.metrics_token.get_secret_value(), authorization)
    if "application/json" in accept:
        return json_response(await fleet.as_dict())
    return Response(await fleet.as_text(), headers={"Content-Type": CONTENT_TYPE})


async def _answers(database: Any) -> str:
    try:
        async with asyncio.timeout(PING_LIMIT_S):
            await database.ping()
    except TimeoutError:
        return "timeout"
    except Exception as error:
        log.warning("database_check_failed", exc_info=error)
        return "unavailable"
    return "ok"


def _require(token: str, authorization: str | None) -> None:
    if authorization is None:
        raise NotAuthenticated
    scheme, _, given = authorization.partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not right:
        raise InvalidToken
