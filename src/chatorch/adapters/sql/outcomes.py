"""How a run ended, and what it used, in the columns of its row."""

from typing import Any

from sqlalchemy import Row

from chatorch.domain.model.conversation import Usage, UsageSource
from chatorch.domain.model.run import CancelReason, Outcome, RunError, RunStatus

USAGE = (
    "prompt_tokens", "completion_tokens", "total_tokens", "usage_source", "cached_tokens", "reasoning_tokens",
)  # fmt: skip


def to_outcome(row: Row[*tuple[Any, ...]]) -> Outcome | None:
    status = RunStatus(row.status)
    if status.live:
        return None
    return Outcome(
        status,
        finish_reason=row.finish_reason,
        usage=to_usage(row),
        error=_to_error(row),
        cancel_reason=CancelReason(row.cancel_reason) if row.cancel_reason is not None else None,
    )


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "status": outcome.status.value,
        "finish_reason": outcome.finish_reason,
        **usage_values(outcome.usage),
        "error_code": error.code if error else None,
        "error_detail": error.detail if error else None,
        "error_retryable": error.retryable if error else None,
        "cancel_reason": outcome.cancel_reason.value if outcome.cancel_reason else None,
    }


def to_usage(row: Row[*tuple[Any, ...]]) -> Usage | None:
    if row.usage_source is None:
        return None
    return Usage(
        row.prompt_tokens,
        row.completion_tokens,
        row.total_tokens,
        UsageSource(row.usage_source),
        row.cached_tokens or 0,
        row.reasoning_tokens or 0,
    )


def usage_values(usage: Usage | None) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        "usage_source": usage.source.value if usage else None,
        "cached_tokens": usage.cached_tokens if usage else None,
        "reasoning_tokens": usage.reasoning_tokens if usage else None,
    }


def _to_error(row: Row[*tuple[Any, ...]]) -> RunError | None:
    if row.error_code is None:
        return None
    return RunError(row.error_code, row.error_detail, row.error_retryable)
