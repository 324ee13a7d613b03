"""A response that is there: how it stands, what it says, what it answered; stopping it, and taking it away."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.annotations import NotedMessage
from chatorch.domain.model.conversation import MessageId, MessageStatus, Role
from chatorch.domain.model.errors import InvalidField, RunUnsettled
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.runs import Runs
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.pages import Limit
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.run_responses import Responses
from chatorch.entrypoints.common.views import json_response
from chatorch.entrypoints.openai.errors import RUN_HEADER
from chatorch.entrypoints.openai.responses.given import (
    AnnotationsDep,
    ConversationsDep,
    RunsDep,
    nothing_more,
)
from chatorch.entrypoints.openai.responses.going_on import noted
from chatorch.entrypoints.openai.responses.ids import run_id_of
from chatorch.entrypoints.openai.responses.listing import Items, Wanted
from chatorch.entrypoints.openai.responses.route import ResponseForm
from chatorch.entrypoints.openai.responses.turns import turn_behind, view_of
from chatorch.entrypoints.openai.responses.view import ResponseView
from chatorch.entrypoints.openai.strict import OpenAIRoute

MAX_NUMBER = 2**53
STOP_S = 2.0
ONE = problems(401, 403, 404, 429, 503)

router = APIRouter(
    prefix="/v1/responses/{response_id}",
    tags=["openai"],
    route_class=OpenAIRoute,
    dependencies=[Depends(nothing_more)],
)


@router.get("", response_class=Response, responses=ONE)
async def read_response(
    request: Request,
    response_id: str,
    principal: SignedIn,
    answers: Responses,
    annotations: AnnotationsDep,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=-1, le=MAX_NUMBER)] = None,
    include_obfuscation: bool = False,
) -> Response:
    """The response with what it says so far; with `stream`, its events behind the one numbered `starting_after`."""
    if starting_after is not None and not stream:
        raise InvalidField("starting_after", "is only for stream")
    if include_obfuscation:
        raise InvalidField("include_obfuscation", "can only be false here")
    run, view = await _read(principal, response_id, answers.runs, annotations)
    if not stream:
        return json_response(view.now(run), headers={RUN_HEADER: run.id})
    after = -1 if starting_after is None else starting_after
    return answers.follow(request, principal, run, form=ResponseForm(view, after))


@router.post("/cancel", response_class=Response, responses=ONE)
async def cancel_response(
    response_id: str, principal: SignedIn, runs: RunsDep, annotations: AnnotationsDep
) -> Response:
    """Stops it, wherever it is carried out, in the background or not. No effect on one that has ended."""
    run, view = await _read(principal, response_id, runs, annotations)
    await _stop(principal, run, runs)
    return json_response(view.now(await runs.read(principal, run.id)), headers={RUN_HEADER: run.id})


@router.get("/input_items", response_class=Response, responses=ONE)
async def list_input_items(
    response_id: str,
    principal: SignedIn,
    runs: RunsDep,
    annotations: AnnotationsDep,
    limit: Limit = 20,
    after: str | None = None,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """What it answered: all that was said before it in its conversation, the newest first."""
    run, _ = await _read(principal, response_id, runs, annotations)
    items = Items(principal, run.thread_id, annotations, runs)
    return json_response(await items.page(Wanted(limit, after, order == "desc", run.message_id)))


@router.delete("", response_class=Response, responses=ONE)
async def delete_response(
    response_id: str,
    principal: SignedIn,
    runs: RunsDep,
    annotations: AnnotationsDep,
    conversations: ConversationsDep,
) -> Response:
    """Takes it out of its conversation, and what it answered where no other response answers that; the conversation
    goes with it where nothing else was answered in it, and no client made it by itself."""
    run, view = await _read(principal, response_id, runs, annotations)
    await _stop(principal, run, runs)
    if await _alone(principal, run, annotations):
        await conversations.delete(principal, run.thread_id)
    else:
        for message_id in await _goes(principal, run, annotations):
            await annotations.remove(principal, run.thread_id, message_id)
    return json_response({"id": view.id, "object": "response", "deleted": True})


async def _read(
    principal: Principal, response_id: str, runs: Runs, annotations: Annotations
) -> tuple[Run, ResponseView]:
    """Raises `NotFound`, also for what has left its conversation."""
    run = await runs.read(principal, run_id_of(response_id))
    return run, await view_of(principal, run, annotations)


async def _stop(principal: Principal, run: Run, runs: Runs) -> None:
    """Waits until it has ended, for a moment."""
    if not run.status.live:
        return
    await runs.cancel(principal, run.id)
    try:
        async with asyncio.timeout(STOP_S):
            await runs.answer(run)
    except (TimeoutError, RunUnsettled):
        return


async def _goes(principal: Principal, run: Run, annotations: Annotations) -> list[MessageId]:
    """Its message; and all of its turn, where no other response is of that."""
    turn = [message async for message in turn_behind(principal, run, annotations)]
    if any(message.run_id not in (None, run.id) for message in turn):
        return [run.message_id]
    results = [message.id for message in turn if message.role is Role.TOOL]
    return [run.message_id, *results, run.user_message_id]


async def _alone(principal: Principal, run: Run, annotations: Annotations) -> bool:
    asked = await annotations.read(principal, run.thread_id, run.user_message_id)
    if isinstance(asked, NotedMessage) and noted(asked.note).get("conversation"):
        return False
    page = await annotations.page(principal, run.thread_id, limit=100)
    messages = [item.message for item in page.items if isinstance(item, NotedMessage)]
    answers = [message for message in messages if message.run_id is not None and message.id != run.message_id]
    return not page.has_more and not answers and all(m.status is not MessageStatus.STREAMING for m in messages)
