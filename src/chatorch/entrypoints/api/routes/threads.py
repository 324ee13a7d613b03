"""Threads and their messages."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from chatorch.domain.model.conversation import MessageId, NewMessage, Role, ThreadId
from chatorch.domain.model.paging import MessageCursor, PageRequest, ThreadCursor
from chatorch.domain.services.commands import AnswerCalls, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.api.needs import given
from chatorch.entrypoints.api.routes.chat import ANSWERED
from chatorch.entrypoints.api.schemas import (
    ChatResponse,
    EditRequest,
    MessageOut,
    ThreadOut,
    ThreadPatch,
    ToolOutputsRequest,
)
from chatorch.entrypoints.api.views import message_view, thread_view
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.fields import PageOut
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.pages import message_page, thread_page
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.run_responses import Responses
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import json_response, page_view
from chatorch.ports.threads import ThreadChange

ConversationsDep = Annotated[Conversations, Depends(given(lambda c: c.conversations()))]

LIST = problems(401, 403, 503)
ONE = problems(401, 403, 404, 503)

router = APIRouter(prefix="/api/threads", tags=["threads"], route_class=StrictRoute)


@router.get("", response_model=PageOut[ThreadOut], responses=LIST)
async def list_threads(
    principal: SignedIn,
    conversations: ConversationsDep,
    page: Annotated[PageRequest[ThreadCursor], Depends(thread_page)],
) -> Response:
    """The caller's threads, the most recently used first."""
    return json_response(page_view(await conversations.threads(principal, page), thread_view))


@router.get("/{thread_id}", response_model=ThreadOut, responses=ONE)
async def read_thread(thread_id: str, principal: SignedIn, conversations: ConversationsDep) -> Response:
    return json_response(thread_view(await conversations.thread(principal, ThreadId(thread_id))))


@router.patch("/{thread_id}", response_model=ThreadOut, responses=ONE)
async def change_thread(
    thread_id: str, body: ThreadPatch, principal: SignedIn, conversations: ConversationsDep
) -> Response:
    """Changes title, metadata, or both."""
    change = ThreadChange(body.title, body.metadata)
    return json_response(thread_view(await conversations.change(principal, ThreadId(thread_id), change)))


@router.delete("/{thread_id}", status_code=204, response_class=Response, responses=ONE)
async def delete_thread(thread_id: str, principal: SignedIn, conversations: ConversationsDep) -> Response:
    """Cancels a live run and removes the thread with all its messages and runs."""
    await conversations.delete(principal, ThreadId(thread_id))
    return Response(status_code=204)


@router.put("/{thread_id}/messages/{message_id}", response_model=ChatResponse, responses=ANSWERED)
async def edit_message(
    request: Request,
    thread_id: str,
    message_id: str,
    body: EditRequest,
    principal: SignedIn,
    answers: Responses,
    key: IdempotencyKey = None,
) -> Response:
    """Says something else in place of a message of the user's, and answers that. What came after leaves the history."""
    stream = answers.streams(request, principal, body.stream)
    edit = StartChat(
        messages=(NewMessage(Role.USER, body.content),),
        thread_id=ThreadId(thread_id),
        model=body.model,
        idempotency_key=key,
        generation=body.generation,
        instead_of=MessageId(message_id),
    )
    run = await answers.runs.start(principal, edit)
    return await answers.to(request, principal, run, stream=stream)


@router.post("/{thread_id}/tool-outputs", response_model=ChatResponse, responses=ANSWERED)
async def answer_calls(
    request: Request,
    thread_id: str,
    body: ToolOutputsRequest,
    principal: SignedIn,
    answers: Responses,
    key: IdempotencyKey = None,
) -> Response:
    """Goes on with a turn that waits: by what came of the client's tools, and whether others may be called."""
    stream = answers.streams(request, principal, body.stream)
    said = AnswerCalls(ThreadId(thread_id), body.answers(), idempotency_key=key)
    run = await answers.runs.answer_calls(principal, said)
    return await answers.to(request, principal, run, stream=stream)


@router.get("/{thread_id}/messages", response_model=PageOut[MessageOut], responses=ONE)
async def list_messages(
    thread_id: str,
    principal: SignedIn,
    conversations: ConversationsDep,
    answers: Responses,
    page: Annotated[PageRequest[MessageCursor], Depends(message_page)],
) -> Response:
    """A thread's messages, oldest first."""
    found = await conversations.messages(principal, ThreadId(thread_id), page)
    since = {
        message.id: await answers.runs.waited_for(principal, message.id, message.whole)
        for message in found.items
        if message.parts
    }
    return json_response(page_view(found, lambda message: message_view(message, since.get(message.id, ()))))
