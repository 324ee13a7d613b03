"""Runs: how one stands, what it says, stopping it, and once more."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.run import terminal_event
from chatorch.domain.services.commands import RetryChat
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.routes.chat import ANSWERED
from chatorch.entrypoints.api.schemas import ChatResponse, RetryRequest, RunOut
from chatorch.entrypoints.api.views import run_view
from chatorch.entrypoints.common.dependencies import IdempotencyKey, Position
from chatorch.entrypoints.common.openapi import STREAMED, problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, Responses
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import json_response

RunsDep = Annotated[Runs, Depends(given(lambda c: c.runs()))]

EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The run's events" + STREAMED, "content": {EVENT_STREAM: {}}},
    204: {"description": "Nothing is left to say"},
    **problems(401, 403, 404, 429, 503),
}

router = APIRouter(prefix="/api/runs/{run_id}", tags=["runs"], route_class=StrictRoute)


@router.get("", response_model=RunOut, responses=problems(401, 403, 404, 503))
async def read_run(run_id: str, principal: SignedIn, runs: RunsDep) -> Response:
    """The run with its text so far."""
    run = await runs.read(principal, RunId(run_id))
    since = () if run.status.live else await runs.waited_for(principal, run.message_id, run.content)
    return json_response(run_view(run, since))


@router.get("/events", response_class=Response, responses=EVENTS)
async def follow_run(
    request: Request, run_id: str, principal: SignedIn, after: Position, answers: Responses
) -> Response:
    """What comes after `Last-Event-ID` or `?after=`: replay, then live. Works for ever; 204 after the end."""
    run = await answers.runs.read(principal, RunId(run_id))
    terminal = terminal_event(run)
    if terminal is not None and after >= terminal.seq:
        return Response(status_code=204)
    return answers.follow(request, principal, run, after)


@router.post("/cancel", status_code=202, response_class=Response, responses=problems(401, 403, 404, 503))
async def cancel_run(run_id: str, principal: SignedIn, runs: RunsDep) -> Response:
    """Stops the run, wherever it is executed: for good, once this is a 202. No effect on one that has ended."""
    await runs.cancel(principal, RunId(run_id))
    return Response(status_code=202)


@router.post("/retry", response_model=ChatResponse, responses=ANSWERED)
async def retry_run(
    request: Request,
    run_id: str,
    principal: SignedIn,
    answers: Responses,
    key: IdempotencyKey = None,
    body: RetryRequest | None = None,
) -> Response:
    """Answers the same user message once more; the messages after it leave the history."""
    wanted = body or RetryRequest()
    stream = answers.streams(request, principal, wanted.stream)
    run = await answers.runs.retry(principal, RetryChat(RunId(run_id), wanted.model, key))
    return await answers.to(request, principal, run, stream=stream)
