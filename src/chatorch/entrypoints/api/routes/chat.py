"""Sending a message."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.identity import Principal
from chatorch.domain.services.commands import AnswerCalls, StartChat
from chatorch.entrypoints.api.schemas import ChatRequest, ChatResponse
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.openapi import STREAMED, problems
from chatorch.entrypoints.common.principal import SignedIn, SignedInOrGuest
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, Responses, RunResponses
from chatorch.entrypoints.common.strict_json import StrictRoute

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer; with `stream`, its events" + STREAMED, "content": {EVENT_STREAM: {}}},
    **problems(401, 403, 404, 409, 429, 502, 503, 504),
}

router = APIRouter(prefix="/api/chat", tags=["chat"], route_class=StrictRoute)


@router.post("/protected", response_model=ChatResponse, responses=ANSWERED)
async def chat_protected(
    request: Request,
    body: ChatRequest,
    principal: SignedIn,
    answers: Responses,
    key: IdempotencyKey = None,
) -> Response:
    """Stores the message and answers it, signed in."""
    return await _chat(request, body, principal, key, answers)


@router.post("", response_model=ChatResponse, responses=ANSWERED)
async def chat(
    request: Request,
    body: ChatRequest,
    principal: SignedInOrGuest,
    answers: Responses,
    key: IdempotencyKey = None,
) -> Response:
    """The same, also for a guest where `CHATORCH_ANONYMOUS_CHAT` allows one: a single turn, gone with its client."""
    return await _chat(request, body, principal, key, answers)


async def _chat(
    request: Request, body: ChatRequest, principal: Principal, key: str | None, answers: RunResponses
) -> Response:
    stream = answers.streams(request, principal, body.stream)
    if body.thread_id is not None and (outputs := body.outputs()):
        said = AnswerCalls(ThreadId(body.thread_id), outputs, idempotency_key=key)
        run = await answers.runs.answer_calls(principal, said)
        return await answers.to(request, principal, run, stream=stream)
    run = await answers.runs.start(
        principal,
        StartChat(
            messages=body.new_messages(),
            thread_id=ThreadId(body.thread_id) if body.thread_id is not None else None,
            model=body.model,
            user_label=body.user_id,
            idempotency_key=key,
            client_ref=body.client_ref,
            generation=body.generation,
            background=body.background,
        ),
    )
    return await answers.to(request, principal, run, stream=stream)
