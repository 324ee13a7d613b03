"""Asking, coming back to what is being said, stopping it, and what was said before."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.content import Content
from chatorch.domain.model.paging import MAX_LIMIT, MessageCursor, PageRequest
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.entrypoints.ai_sdk.encoder import UiStreamEncoder
from chatorch.entrypoints.ai_sdk.needs import given
from chatorch.entrypoints.ai_sdk.schemas import ChatBody, UiMessageOut
from chatorch.entrypoints.ai_sdk.turn_before import Before
from chatorch.entrypoints.ai_sdk.turns import Turns
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.fields import PageOut
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.pages import After, Limit
from chatorch.entrypoints.common.principal import SignedIn, SignedInOrGuest
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, Responses, RunForm, events_path
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import json_response, page_view

STREAM_HEADER = "x-vercel-ai-ui-message-stream"

STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "A UI message stream, version 1, of the AI SDK", "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 503),
}


class UiStreamForm(RunForm):
    """For one major version of the client."""

    def __init__(self, version: int, before: Before) -> None:
        self._version = version
        self._before = before

    def whole(self, run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Response:  # noqa: ARG002
        raise ValueError("this door always streams")

    def encoder(self, run: Run) -> EventEncoder:
        return UiStreamEncoder(run.id, self._version, self._before)

    def headers(self, scope: Scope, run: Run) -> dict[str, str]:
        return {STREAM_HEADER: "v1", "Content-Location": events_path(scope, run.id)}


ChatId = Annotated[
    str, Path(alias="thread_id", description="The chat's id, as its client knows it; or that of a thread")
]
"""It may have any characters, and a path comes decoded: so the routes take slashes as well."""
Version = Annotated[Literal["6", "7"], Query(description="The client's major version of `ai`")]
TurnsDep = Annotated[Turns, Depends(given(lambda c: Turns(c.runs(), c.conversations())))]

router = APIRouter(prefix="/api/ai-sdk", tags=["ai-sdk"], route_class=StrictRoute)


@router.post("", response_class=Response, responses=STREAM)
async def chat(
    request: Request,
    body: ChatBody,
    principal: SignedInOrGuest,
    answers: Responses,
    turns: TurnsDep,
    key: IdempotencyKey = None,
    v: Version = "7",
) -> Response:
    """What `DefaultChatTransport` sends: a message, one in the place of another, an answer once more, or what came of
    calls of tools, and decisions about them."""
    asked = body.asked()
    answers.streams(request, principal, stream=True)
    run, before = await turns.open(principal, asked, key)
    return await answers.to(request, principal, run, stream=True, form=UiStreamForm(int(v), before))


@router.get(
    "/{thread_id:path}/stream", response_class=Response, responses={204: {"description": "Nothing is live"}, **STREAM}
)
async def resume(
    request: Request, chat_id: ChatId, principal: SignedInOrGuest, answers: Responses, turns: TurnsDep, v: Version = "7"
) -> Response:
    """The answer that is being given, from its start. 204 where none is, as for every guest, who has one turn."""
    live = None if principal.guest else await turns.to_resume(principal, chat_id)
    if live is None:
        return Response(status_code=204)
    run = await answers.runs.read(principal, live.id)
    before = await turns.before(principal, run, whole=True)
    return await answers.to(request, principal, run, stream=True, form=UiStreamForm(int(v), before))


@router.post("/{thread_id:path}/stop", status_code=202, response_class=Response, responses=problems(401, 403, 404, 503))
async def stop(chat_id: ChatId, principal: SignedIn, answers: Responses, turns: TurnsDep) -> Response:
    """Stops the answer that is being given, for all who listen: `stop()` of the client only stops listening."""
    if (live := await turns.live_run(principal, chat_id)) is not None:
        await answers.runs.cancel(principal, live.id)
    return Response(status_code=202)


@router.get("/{thread_id:path}/messages", response_model=PageOut[UiMessageOut], responses=problems(401, 403, 404, 503))
async def messages(
    chat_id: ChatId, principal: SignedIn, turns: TurnsDep, limit: Limit = MAX_LIMIT, after: After = None
) -> Response:
    """The newest messages, oldest first, for `useChat`'s `messages`; by `after`, those before them.

    An answer that is being given is not among them: `resume` brings it.
    """
    cursor = MessageCursor.decode(after) if after is not None else None
    page = PageRequest(limit, cursor, descending=True)
    return json_response(page_view(await turns.history(principal, chat_id, page), dict))
