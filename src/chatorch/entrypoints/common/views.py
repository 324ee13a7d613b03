"""What several doors show as JSON. Built by hand and encoded once: no model validates what we made ourselves."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from chatorch.domain.model.calls import ENDED_WELL
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.paging import Page
from chatorch.domain.model.presence import Announcement
from chatorch.domain.model.run import Run, RunCompleted
from chatorch.entrypoints.common.parts import parts_view
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
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "source": usage.source,
    }


def chat_view(run: Run, content: Content, end: RunCompleted, finished_at: datetime) -> Json:
    """The answer of a run that completed; `run` may be as it was opened."""
    return {
        "response": content.text,
        "parts": parts_view(content, ENDED_WELL),
        "thread_id": run.thread_id,
        "timestamp": rfc3339(finished_at),
        "run_id": run.id,
        "message_id": end.message_id,
        "model": run.model,
        "finish_reason": end.finish_reason,
        "usage": usage_view(end.usage),
    }


def page_view(page: Page[T], view: Callable[[T], Json]) -> Json:
    return {"data": [view(item) for item in page.items], "has_more": page.has_more, "after": page.after}


def announcement_view(announcement: Announcement) -> Json:
    return {"text": announcement.text, "timestamp": rfc3339(announcement.timestamp)}
