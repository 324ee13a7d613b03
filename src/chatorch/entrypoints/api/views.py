"""What only the API shows, as JSON."""

from collections.abc import Sequence

from chatorch.domain.model.calls import Standing
from chatorch.domain.model.conversation import Message, Thread
from chatorch.domain.model.identity import Principal, Scope
from chatorch.domain.model.run import Outcome, Run, RunStatus
from chatorch.domain.model.tools import Tool
from chatorch.entrypoints.common.parts import parts_view
from chatorch.entrypoints.common.views import Json, rfc3339, usage_view


def run_view(run: Run, since: Sequence[Message] = ()) -> Json:
    """`since`: what was said after its answer, as far as that tells how its calls stand."""
    outcome = run.outcome or Outcome(run.status)
    usage, error = outcome.usage, outcome.error
    return {
        "id": run.id,
        "thread_id": run.thread_id,
        "message_id": run.message_id,
        "status": run.status,
        "model": run.model,
        "created_at": rfc3339(run.created_at),
        "finished_at": rfc3339(run.finished_at) if run.finished_at else None,
        "finish_reason": outcome.finish_reason,
        "usage": usage_view(usage) if usage else None,
        "error": {"code": error.code, "detail": error.detail} if error else None,
        "text": run.text,
        "parts": parts_view(run.content, _standing(run).then(since)),
    }


def thread_view(thread: Thread) -> Json:
    return {
        "id": thread.id,
        "client_ref": thread.client_ref,
        "title": thread.title,
        "created_at": rfc3339(thread.created_at),
        "updated_at": rfc3339(thread.updated_at),
        "metadata": thread.metadata,
    }


def message_view(message: Message, since: Sequence[Message] = ()) -> Json:
    """`since` as of `run_view`."""
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "parts": parts_view(message.whole, Standing.behind(message, since)),
        "status": message.status,
        "created_at": rfc3339(message.created_at),
        "run_id": message.run_id,
        "metadata": message.metadata,
    }


def _standing(run: Run) -> Standing:
    return Standing(live=run.status.live, complete=run.status is RunStatus.COMPLETED)


def tool_view(tool: Tool) -> Json:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "needs_approval": tool.needs_approval,
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
