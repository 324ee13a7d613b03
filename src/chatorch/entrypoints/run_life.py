"""A run's life as lines for a terminal: ``name: value``. The texts show as their sizes only."""

from collections.abc import Iterator
from datetime import datetime

from chatorch.domain.model.conversation import Usage
from chatorch.domain.model.identity import is_guest
from chatorch.domain.model.run import Interaction, Outcome
from chatorch.ports.run_lives import RunLife, RunRow

ABSENT = "-"


def lines_of(life: RunLife) -> Iterator[str]:
    if life.row is not None:
        yield from (f"{name}: {_shown(value)}" for name, value in _of_row(life.row))
    else:
        yield "run: gone with its thread, which was deleted; what is left is its record"
    if life.interaction is None:
        yield "interaction: none, since the run has not ended"
        return
    yield "interaction:"
    yield from (f"  {name}: {_shown(value)}" for name, value in _of_interaction(life.interaction))


def _of_row(row: RunRow) -> Iterator[tuple[str, object]]:
    run = row.run
    outcome = run.outcome or Outcome(run.status)
    error = outcome.error
    yield "run", run.id
    yield "owner", f"{run.owner_id} (guest)" if is_guest(run.owner_id) else run.owner_id
    yield "thread", run.thread_id
    yield "model", run.model
    yield "status", run.status.value
    yield "created", run.created_at
    yield "finished", run.finished_at
    yield "epoch", run.epoch
    yield "attempts", run.attempts
    yield "seq", run.seq
    yield "heartbeats", row.heartbeat
    yield "cancel requested", "yes" if row.cancel_requested else "no"
    yield "cancel reason", outcome.cancel_reason.value if outcome.cancel_reason else None
    yield "finish reason", outcome.finish_reason
    yield "usage", outcome.usage
    yield "error code", error.code if error else None
    yield "error detail", error.detail if error else None
    yield "retryable", ("yes" if error.retryable else "no") if error else None
    yield "user message", f"{run.user_message_id} ({row.question_chars} characters)"
    yield "answer", f"{run.message_id} ({row.answer_chars} characters)"
    for kind, sizes in row.part_chars.items():
        if len(row.part_chars) > 1 or len(sizes) > 1:
            yield f"parts of kind {kind}", f"{len(sizes)} ({sum(sizes)} characters)"


def _of_interaction(record: Interaction) -> Iterator[tuple[str, object]]:
    yield "run", record.run_id
    yield "user", record.user_id
    yield "thread", record.thread_id
    yield "model", record.model
    yield "status", record.status.value
    yield "created", record.created_at
    yield "attempts", record.attempts
    yield "steps", record.steps
    for use in record.tools:
        took = "in an earlier attempt" if use.duration_ms is None else f"{use.duration_ms} ms"
        yield "tool", f"{use.name} {use.status.value} ({took})"
    yield "usage", record.usage
    yield "first piece", None if record.first_piece_ms is None else f"{record.first_piece_ms} ms"
    yield "duration", None if record.duration_ms is None else f"{record.duration_ms} ms"
    yield "error code", record.error_code


def _shown(value: object) -> str:
    match value:
        case None:
            return ABSENT
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Usage():
            return (
                f"{value.prompt_tokens} prompt + {value.completion_tokens} completion = {value.total_tokens} tokens"
                f" ({value.source.value}{_of_these(value)})"
            )
    # One line each, whatever a client named its model.
    return str(value).encode("unicode_escape").decode() if not str(value).isprintable() else str(value)


def _of_these(usage: Usage) -> str:
    cached = f"; {usage.cached_tokens} of the prompt cached" if usage.cached_tokens else ""
    return cached + (f"; {usage.reasoning_tokens} of the completion reasoning" if usage.reasoning_tokens else "")
