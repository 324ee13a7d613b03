"""What only the API shows, as JSON."""

from chatorch.domain.model.conversation import Message, Thread
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.run import Run
from chatorch.entrypoints.common.views import Json, rfc3339, usage_view


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


def scope_text(scopes: frozenset[Scope]) -> str:
    """Separated by spaces (RFC 6749, 3.3), in alphabetical order."""
    return " ".join(sorted(scopes))
