"""Asking for a response."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import NewMessage, Thread
from chatorch.domain.model.errors import GuestThread, InvalidField, NotFound, RoleNotAllowed
from chatorch.domain.model.identity import Principal
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.domain.model.titles import title_from
from chatorch.domain.services.annotations import Annotations
from chatorch.domain.services.commands import AnswerCalls, StartChat
from chatorch.domain.services.conversations import Conversations
from chatorch.entrypoints.common.dependencies import IdempotencyKey
from chatorch.entrypoints.common.error_form import Refusal
from chatorch.entrypoints.common.event_encoder import EventEncoder
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedInOrGuest
from chatorch.entrypoints.common.run_responses import EVENT_STREAM, JSON, Responses, RunForm, RunResponses
from chatorch.entrypoints.common.views import json_response
from chatorch.entrypoints.openai.errors import RUN_HEADER
from chatorch.entrypoints.openai.responses.answering import (
    Waiting,
    answer,
    no_turn,
    require_metadata_kept,
    waiting_in,
    waiting_response,
)
from chatorch.entrypoints.openai.responses.encoder import ResponsesEncoder
from chatorch.entrypoints.openai.responses.given import AnnotationsDep, ConversationsDep
from chatorch.entrypoints.openai.responses.going_on import NOTE, GoingOn, going_on
from chatorch.entrypoints.openai.responses.inputs import Inputs, inputs
from chatorch.entrypoints.openai.responses.missing import ConversationNotFound
from chatorch.entrypoints.openai.responses.output import output_of
from chatorch.entrypoints.openai.responses.schema import CreateResponse
from chatorch.entrypoints.openai.responses.turns import view_of
from chatorch.entrypoints.openai.responses.view import ResponseView, ended_as, item_status
from chatorch.entrypoints.openai.strict import OpenAIRoute
from chatorch.ports.threads import ThreadChange

UNTITLED = "New conversation"
"""What a conversation is called in which nothing was said yet."""

ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The response; with `stream`, its events", "content": {EVENT_STREAM: {}, JSON: {}}},
    **problems(401, 403, 404, 409, 429, 502, 503, 504),
}

router = APIRouter(prefix="/v1/responses", tags=["openai"], route_class=OpenAIRoute)


class ResponseForm(RunForm):
    """`after`: the number of the last event that the client has."""

    def __init__(self, view: ResponseView, after: int = -1) -> None:
        self._view = view
        self._after = after

    def whole(self, run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Response:
        status, _ = ended_as(end)
        output = output_of(run.id, content, item_status(status), self._view.asked)
        body = self._view.ended(end, output) | {"completed_at": int(finished_at.timestamp())}
        return json_response(body, headers={RUN_HEADER: run.id})

    def encoder(self, run: Run) -> EventEncoder:  # noqa: ARG002  # which is the view's
        return ResponsesEncoder(self._view, self._after)

    def headers(self, scope: Scope, run: Run) -> dict[str, str]:  # noqa: ARG002
        return {RUN_HEADER: run.id}


@router.post("", response_class=Response, responses=ANSWERED)
async def create_response(
    request: Request,
    body: CreateResponse,
    principal: SignedInOrGuest,
    answers: Responses,
    annotations: AnnotationsDep,
    conversations: ConversationsDep,
    key: IdempotencyKey = None,
) -> Response:
    """Answers the last message, in a new conversation, or in one that goes on. A parameter that can do nothing here is
    refused by its name."""
    body.require_sense(guest=principal.guest)
    given = inputs(body.input, metadata=body.metadata, continues=body.continues)
    if given.answers:
        return await _go_on(request, principal, body, given, answers, annotations, conversations, key)
    place = await _place(principal, body, answers, annotations, key)
    thread = await _stored_thread(principal, place, conversations)
    note = _note(body, place, key)
    said = given.noted({NOTE: note} if note else None)
    chat = _chat(body, said.messages, place, key, guest=principal.guest)
    stream = answers.streams(request, principal, bool(body.stream))
    try:
        run = await answers.runs.start(principal, chat)
    except (InvalidField, RoleNotAllowed) as error:
        raise said.refused(error) from None
    if thread is not None and thread.title == UNTITLED and run.status.live:
        await conversations.change(principal, thread.id, ThreadChange(title=title_from(chat.messages[-1].content)))
    view = ResponseView(run, note, body.metadata or {})
    return await _respond(request, principal, body, run, view, answers, stream=stream)


async def _go_on(
    request: Request,
    principal: Principal,
    body: CreateResponse,
    given: Inputs,
    answers: RunResponses,
    annotations: Annotations,
    conversations: Conversations,
    key: str | None,
) -> Response:
    """With a turn that waits, by what is said to its calls."""
    turn = await _waiting(principal, body, given, answers, annotations, conversations, key)
    if not given.messages:
        require_metadata_kept(body.metadata, turn.metadata)
    said = AnswerCalls(
        turn.thread_id,
        (),
        idempotency_key=key,
        model=body.model,
        generation=body.generation(),
        background=bool(body.background),
        any_length=True,
    )
    stream = answers.streams(request, principal, bool(body.stream))
    given = given.noted({NOTE: _note(body, GoingOn(turn.thread_id), key)})
    run = await answer(principal, said, given, turn.calls, answers.runs)
    view = await view_of(principal, run, annotations)
    return await _respond(request, principal, body, run, view, answers, stream=stream)


async def _waiting(
    principal: Principal,
    body: CreateResponse,
    given: Inputs,
    answers: RunResponses,
    annotations: Annotations,
    conversations: Conversations,
    key: str | None,
) -> Waiting:
    """The turn that a request answers calls of."""
    if not body.continues:
        raise no_turn(given.answers[0])
    if principal.guest:
        raise GuestThread
    if body.previous_response_id is not None:
        earlier = body.previous_response_id
        turn = await waiting_response(principal, earlier, runs=answers.runs, annotations=annotations)
        await _stored_thread(principal, GoingOn(turn.thread_id), conversations)
        return turn
    place = await _place(principal, body, answers, annotations, key)
    thread = await _stored_thread(principal, place, conversations)
    if thread is None:
        raise ConversationNotFound
    return await waiting_in(principal, thread.id, annotations, key if given.messages else None)


async def _respond(
    request: Request,
    principal: Principal,
    body: CreateResponse,
    run: Run,
    view: ResponseView,
    answers: RunResponses,
    *,
    stream: bool,
) -> Response:
    if body.background and not stream:
        return json_response(view.now(run), headers={RUN_HEADER: run.id})
    response = await answers.to(request, principal, run, stream=stream, form=ResponseForm(view))
    if isinstance(response, Refusal):
        # It is stored: who asks the same again by itself would say it twice.
        response.headers["x-should-retry"] = "false"
    return response


async def _place(
    principal: Principal, body: CreateResponse, answers: RunResponses, annotations: Annotations, key: str | None
) -> GoingOn | None:
    """None for a new thread."""
    if body.previous_response_id is not None:
        if principal.guest:
            raise GuestThread
        earlier = body.previous_response_id
        return await going_on(principal, earlier, runs=answers.runs, annotations=annotations, key=key)
    try:
        thread_id = body.thread_id()
    except NotFound:
        raise ConversationNotFound from None
    return GoingOn(thread_id) if thread_id is not None else None


async def _stored_thread(principal: Principal, place: GoingOn | None, conversations: Conversations) -> Thread | None:
    """That which goes on. Raises `ConversationNotFound`, also for one that is not kept: what is said in it would go."""
    if place is None:
        return None
    if principal.guest:
        raise GuestThread
    try:
        thread = await conversations.thread(principal, place.thread_id)
    except NotFound:
        raise ConversationNotFound from None
    if not thread.stored:
        raise ConversationNotFound("was not stored, so it cannot be gone on with")
    return thread


def _chat(
    body: CreateResponse,
    messages: tuple[NewMessage, ...],
    place: GoingOn | None,
    key: str | None,
    *,
    guest: bool,
) -> StartChat:
    return StartChat(
        messages=messages,
        thread_id=place.thread_id if place else None,
        instead_of=place.instead_of if place else None,
        model=body.model,
        idempotency_key=key,
        stored=body.store is not False,
        generation=body.generation(guest=guest),
        any_length=True,
        background=bool(body.background),
    )


def _note(body: CreateResponse, place: GoingOn | None, key: str | None) -> Mapping[str, Any]:
    """What is to be kept of a request, besides what the run keeps; empty where it is plain."""
    known = {
        "store": False if body.store is False else None,
        "background": body.background or None,
        "previous_response_id": body.previous_response_id,
        "conversation": True if body.conversation is not None else None,
        "instead_of": place.instead_of if place else None,
        "key": key if body.continues else None,
    }
    return {name: value for name, value in known.items() if value is not None}
