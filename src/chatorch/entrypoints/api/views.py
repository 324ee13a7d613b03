"""The domain's dataclasses as JSON. Built by hand and encoded once: no model validates what we made ourselves."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from chatorch.domain.model.chatkit_hosted.history import HostedItem, HostedThread
from chatorch.domain.model.conversation import Message, Thread, Usage
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.paging import Page
from chatorch.domain.model.presence import Announcement
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.domain.services.chatkit_hosted.sessions import OpenedSession
from chatorch.entrypoints.common.unread import WholeAnswer

T = TypeVar("T")

Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return WholeAnswer(_encode(body), status, headers)


def rfc3339(when: datetime) -> str:
    """UTC with microseconds: ``2026-01-31T09:30:00.000000Z``."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def usage_view(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "source": usage.source,
    }


def chat_view(run: Run, text: str, end: RunCompleted, finished_at: datetime) -> Json:
    """The answer of a run that completed; `run` may be as it was opened."""
    return {
        "response": text,
        "thread_id": run.thread_id,
        "timestamp": rfc3339(finished_at),
        "run_id": run.id,
        "message_id": end.message_id,
        "model": run.model,
        "finish_reason": end.finish_reason,
        "usage": usage_view(end.usage),
    }


def run_view(run: Run) -> Json:
    return {
        "id": run.id,
        "thread_id": run.thread_id,
        "message_id": run.message_id,
        "status": run.status,
        "model": run.model,
        "created_at": rfc3339(run.created_at),
        "finished_at": rfc3339(run.finished_at) if run.finished_at else None,
        "finish_reason": run.finish_reason,
        "usage": usage_view(run.usage) if run.usage else None,
        "error": {"code": run.error.code, "detail": run.error.detail} if run.error else None,
        "text": run.text,
    }


def thread_view(thread: Thread) -> Json:
    return {
        "id": thread.id,
        "title": thread.title,
        "created_at": rfc3339(thread.created_at),
        "updated_at": rfc3339(thread.updated_at),
        "metadata": thread.metadata,
    }


def message_view(message: Message) -> Json:
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "status": message.status,
        "created_at": rfc3339(message.created_at),
        "run_id": message.run_id,
        "metadata": message.metadata,
    }


def page_view(page: Page[T], view: Callable[[T], Json]) -> Json:
    return {"data": [view(item) for item in page.items], "has_more": page.has_more, "after": page.after}


def token_view(access_token: str, expires_in: int, scopes: frozenset[Scope]) -> Json:
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": expires_in,
        "scope": scope_text(scopes),
    }


def me_view(principal: Principal) -> Json:
    return {
        "user_id": principal.user_id,
        "username": principal.username,
        "scope": scope_text(principal.scopes),
    }


def session_view(opened: OpenedSession, thread_id: str | None = None) -> Json:
    view = {
        "session_id": opened.session.id,
        "client_secret": opened.secret.reveal(),
        "expires_at": rfc3339(opened.session.expires_at),
        "refresh_at": rfc3339(opened.refresh_at),
    }
    return view if thread_id is None else {**view, "thread_id": thread_id}


def hosted_thread_view(thread: HostedThread) -> Json:
    return {
        "id": thread.id,
        "title": thread.title,
        "status": thread.status,
        "created_at": rfc3339(thread.created_at),
    }


def hosted_item_view(item: HostedItem) -> Json:
    return {
        **item.members,
        "id": item.id,
        "thread_id": item.thread_id,
        "type": item.type,
        "created_at": rfc3339(item.created_at),
    }


def announcement_view(announcement: Announcement) -> Json:
    return {"text": announcement.text, "timestamp": rfc3339(announcement.timestamp)}


def scope_text(scopes: frozenset[Scope]) -> str:
    """Separated by spaces (RFC 6749, 3.3), in alphabetical order."""
    return " ".join(sorted(scopes))
