"""Asking for a completion."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.content import Content
from chatorch.domain.model.errors import InvalidField
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.domain.services.commands import StartChat
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedInOrGuest
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, Responses, RunForm
from chatorch.entrypoints.common.views import json_response
from chatorch.entrypoints.openai.chat_completions.chunks import ChunkEncoder
from chatorch.entrypoints.openai.chat_completions.completion import completion_view
from chatorch.entrypoints.openai.chat_completions.messages import new_messages
from chatorch.entrypoints.openai.chat_completions.schema import ChatCompletionOut, ChatCompletionRequest
from chatorch.entrypoints.openai.errors import RUN_HEADER
from chatorch.entrypoints.openai.strict import OpenAIRoute

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The completion; with `stream`, its chunks", "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 502, 503, 504),
}

router = APIRouter(prefix="/v1/chat/completions", tags=["openai"], route_class=OpenAIRoute)


class CompletionForm(RunForm):
    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage

    def whole(self, run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Response:  # noqa: ARG002
        return json_response(completion_view(run, content, end), headers={RUN_HEADER: run.id})

    def encoder(self, run: Run) -> EventEncoder:
        return ChunkEncoder(run, include_usage=self._include_usage)

    def headers(self, scope: Scope, run: Run) -> dict[str, str]:  # noqa: ARG002
        return {RUN_HEADER: run.id}


@router.post("", response_model=ChatCompletionOut, responses=ANSWERED)
async def create_chat_completion(
    request: Request,
    body: ChatCompletionRequest,
    principal: SignedInOrGuest,
    answers: Responses,
    key: IdempotencyKey = None,
) -> Response:
    """Answers the last message. `messages` is the whole history: each request has a thread of its own, which is listed
    with `store` only. A parameter that can do nothing here is refused by its name."""
    if body.store and principal.guest:
        raise InvalidField("store", "is not for guests, who cannot come back: sign in")
    chat = StartChat(
        messages=new_messages(body.messages, body.metadata),
        model=body.model,
        idempotency_key=key,
        stored=bool(body.store),
        generation=body.generation(),
        any_length=True,
    )
    stream = answers.streams(request, principal, bool(body.stream))
    run = await answers.runs.start(principal, chat)
    form = CompletionForm(include_usage=body.include_usage)
    if stream:
        return await answers.follow_once_it_speaks(request, principal, run, form=form)
    return await answers.to(request, principal, run, stream=False, form=form)
