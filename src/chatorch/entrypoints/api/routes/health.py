"""For who runs it: is it alive, and may it have traffic."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch import __version__
from chatorch.domain.services.execution.executor import Executor
from chatorch.entrypoints.api import needs
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.schemas import HealthOut, ReadyOut
from chatorch.entrypoints.common.service import SERVICE
from chatorch.entrypoints.common.views import json_response, rfc3339
from chatorch.entrypoints.settings import Settings

router = APIRouter(tags=["operation"])

Operator = Annotated[Settings, Depends(given(lambda c: c.settings()))]
Running = Annotated[Executor, Depends(given(lambda c: c.executor()))]
Readiness = Annotated[needs.Readiness, Depends(given(lambda c: c.readiness()))]
Backplane = Annotated[needs.Backplane, Depends(given(lambda c: c.backplane()))]


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=HealthOut, response_model_exclude_none=True)
async def health(executor: Running, settings: Operator, backplane: Backplane) -> Response:
    """200 as long as the process answers, also while it drains, or Redis is away."""
    body = {
        "status": "draining" if executor.draining else "healthy",
        "timestamp": rfc3339(datetime.now(UTC)),
        "service": SERVICE,
        "version": __version__,
    }
    if settings.offline:
        body["model"] = "offline"
    if backplane.redis_up is not None:
        body["redis"] = "up" if backplane.redis_up() else "down"
        if problem := backplane.redis_problem():
            body["redis_problem"] = problem
    return json_response(body)


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> dict[Literal["status"], Literal["alive"]]:
    """200 as long as the event loop turns; nothing else is looked at."""
    return {"status": "alive"}


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", response_model=ReadyOut, responses={503: {"model": ReadyOut}})
async def ready(executor: Running, readiness: Readiness) -> Response:
    """503 while draining, or where the database takes no writes, or has not answered for some seconds.

    The database is looked at once a second, however often this is asked.
    """
    checks = {"database": readiness.store, "runs": "draining" if executor.draining else "ok"}
    well = all(check == "ok" for check in checks.values())
    return json_response({"status": "ready" if well else "unready", "checks": checks}, 200 if well else 503)
