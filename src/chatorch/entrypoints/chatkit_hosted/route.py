"""Hosted ChatKit: sessions for the widget, and the history that OpenAI keeps of them."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.chatkit_hosted.session import ClientSecret, SessionId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.services.chatkit_hosted.history import HostedHistory
from chatorch.domain.services.chatkit_hosted.sessions import ChatKitSessions
from chatorch.entrypoints.chatkit_hosted.needs import given
from chatorch.entrypoints.chatkit_hosted.pages import hosted_item_page, hosted_thread_page
from chatorch.entrypoints.chatkit_hosted.schemas import (
    HostedItemOut,
    HostedThreadOut,
    RefreshRequest,
    SessionOut,
    SessionRequest,
)
from chatorch.entrypoints.chatkit_hosted.views import hosted_item_view, hosted_thread_view, session_view
from chatorch.entrypoints.common.fields import PageOut
from chatorch.entrypoints.common.openapi import problems
from chatorch.entrypoints.common.principal import SignedIn
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.common.views import json_response, page_view

SessionsDep = Annotated[ChatKitSessions, Depends(given(lambda c: c.chatkit_sessions()))]
HistoryDep = Annotated[HostedHistory, Depends(given(lambda c: c.chatkit_history()))]
ThreadPage = Annotated[PageRequest[HostedCursor], Depends(hosted_thread_page)]
ItemPage = Annotated[PageRequest[HostedCursor], Depends(hosted_item_page)]

NOT_STORED = {"Cache-Control": "no-store"}
UPSTREAM = (502, 503, 504)

router = APIRouter(prefix="/api/chatkit", tags=["chatkit"], route_class=StrictRoute)


@router.post("/session", response_model=SessionOut, responses=problems(401, 403, 404, 410, 429, *UPSTREAM))
async def open_session(
    principal: SignedIn, sessions: SessionsDep, history: HistoryDep, body: SessionRequest | None = None
) -> Response:
    """A client secret for the widget. Its ChatKit user is the caller; 410 where they sign out meanwhile."""
    asked = body or SessionRequest()
    if asked.thread_id is not None:
        await history.read(principal, asked.thread_id)
    opened = await sessions.open(principal, asked.workflow_id)
    return json_response(session_view(opened, asked.thread_id), headers=NOT_STORED)


@router.post("/refresh", response_model=SessionOut, responses=problems(401, 403, 404, 410, 429, *UPSTREAM))
async def refresh_session(body: RefreshRequest, principal: SignedIn, sessions: SessionsDep) -> Response:
    """A new session for the secret of an old one, which is cancelled; 410 where that one is over: open another.

    The same secret again, from another tab or after a lost answer, gets the same session.
    """
    opened = await sessions.refresh(principal, ClientSecret(body.client_secret))
    return json_response(session_view(opened), headers=NOT_STORED)


@router.delete(
    "/session/{session_id}",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 404, *UPSTREAM),
)
async def cancel_session(session_id: str, principal: SignedIn, sessions: SessionsDep) -> Response:
    """Its secret is worth nothing from then on. After a 502, 503 or 504 it is being tried again until it expires."""
    await sessions.cancel(principal, SessionId(session_id))
    return Response(status_code=204)


@router.delete("/session", status_code=204, response_class=Response, responses=problems(401, 403, *UPSTREAM))
async def cancel_sessions(principal: SignedIn, sessions: SessionsDep) -> Response:
    """Signing out: all of the caller's sessions are cancelled, also those that are being opened."""
    await sessions.cancel_all(principal)
    return Response(status_code=204)


@router.get("/threads", response_model=PageOut[HostedThreadOut], responses=problems(401, 403, *UPSTREAM))
async def list_hosted_threads(principal: SignedIn, history: HistoryDep, page: ThreadPage) -> Response:
    """The caller's threads at OpenAI, newest first."""
    return json_response(page_view(await history.list_threads(principal, page), hosted_thread_view))


@router.get(
    "/threads/{thread_id}/items",
    response_model=PageOut[HostedItemOut],
    responses=problems(401, 403, 404, *UPSTREAM),
)
async def list_hosted_items(thread_id: str, principal: SignedIn, history: HistoryDep, page: ItemPage) -> Response:
    """What is in one of them, oldest first."""
    return json_response(page_view(await history.items(principal, thread_id, page), hosted_item_view))


@router.delete(
    "/threads/{thread_id}",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 404, *UPSTREAM),
)
async def delete_hosted_thread(thread_id: str, principal: SignedIn, history: HistoryDep) -> Response:
    """Removes it at OpenAI, with all in it."""
    await history.delete(principal, thread_id)
    return Response(status_code=204)
