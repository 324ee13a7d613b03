"""What live runs say: Prometheus collectors, and log lines: one where a run ends, at DEBUG also where it begins."""

from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.run import Run, RunStatus
from chatorch.domain.model.tools import CallStatus, ToolUse
from chatorch.ports.execution_store import RunEnd
from chatorch.ports.telemetry import ModelTelemetry, RunTelemetry, ToolTelemetry
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError

FIRST_PIECE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60)
TOOL_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RUN_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)

KNOWN_REASONS = frozenset({
    "complete", "content_filter", "end_turn", "eos", "eos_token", "filter", "function_call", "length", "max_tokens",
    "model_length", "refusal", "safety", "sensitive", "stop", "stop_sequence", "tool_calls", "tool_use",
})  # fmt: skip

log = structlog.get_logger(__name__)


class PrometheusTelemetry(RunTelemetry, ModelTelemetry, ToolTelemetry):
    """Records into collectors of its own in the registry handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, doc: str, *labels: str) -> Any:
            return Counter(name, doc, labels, registry=registry)

        self._started = counter("chatorch_runs_started_total", "Runs begun here.")
        self._outcomes = counter("chatorch_runs_total", "Runs ended here, by outcome.", "status", "code")
        self._processed = counter(
            "chatorch_messages_processed_total", "Messages of users that were dealt with, however their runs ended."
        )
        self._pieces = counter("chatorch_pieces_total", "Pieces of text that came from the model.")
        self._tokens = counter("chatorch_tokens_total", "Tokens of finished runs.", "kind")
        self._dropped = counter(
            "chatorch_provider_payloads_dropped_total", "Payloads from the model's provider that meant nothing."
        )
        self._lost = counter("chatorch_runs_lost_total", "Runs executed here that somebody else ended.")
        self._taken_over = counter("chatorch_runs_taken_over_total", "Runs of workers that are gone, carried on here.")
        self._faults = counter("chatorch_faults_total", "Errors of our own that nobody expected.", "what")
        self._store_failures = counter("chatorch_store_failures_total", "Writes to be tried again.", "what")
        self._tool_duration = Histogram(
            "chatorch_tool_duration_seconds",
            "Calls of tools.",
            ("tool", "status"),
            buckets=TOOL_BUCKETS,
            registry=registry,
        )
        self._steps = counter("chatorch_steps_total", "How often runs that have ended asked their models.")
        self._first_piece = Histogram(
            "chatorch_first_piece_seconds",
            "From the run's begin to its first text.",
            buckets=FIRST_PIECE_BUCKETS,
            registry=registry,
        )
        self._duration = Histogram(
            "chatorch_run_duration_seconds", "Whole runs.", buckets=RUN_BUCKETS, registry=registry
        )

    def started(self, run: Run) -> None:
        self._started.inc()
        # From here on, in the task that carries it out.
        structlog.contextvars.bind_contextvars(run_id=run.id)
        log.debug("run_started", **_ids(run), model=run.model)

    def ended(self, run: Run, end: RunEnd, pieces: int) -> None:
        code = end.outcome.error.code if end.outcome.error else ""
        self._outcomes.labels(end.outcome.status.value, code).inc()
        self._processed.inc()
        self._pieces.inc(pieces)
        self._steps.inc(end.tally.steps if end.tally else 1)
        if end.first_piece_ms is not None:
            self._first_piece.observe(end.first_piece_ms / 1000)
        if end.duration_ms is not None:
            self._duration.observe(end.duration_ms / 1000)
        if end.outcome.usage is not None:
            self._tokens.labels("prompt").inc(end.outcome.usage.prompt_tokens)
            self._tokens.labels("completion").inc(end.outcome.usage.completion_tokens)
        say = log.warning if end.outcome.status is RunStatus.FAILED else log.info
        say("run_ended", **_ids(run), model=run.model, **_outcome(end), pieces=pieces)

    def lost(self, run: Run) -> None:
        self._lost.inc()
        log.warning("run_lost", **_ids(run))

    def interrupted(self, count: int, reason: str) -> None:
        self._outcomes.labels(RunStatus.INTERRUPTED.value, "").inc(count)
        self._processed.inc(count)
        log.info("runs_interrupted", count=count, reason=reason)

    def taken_over(self, run: Run) -> None:
        self._taken_over.inc()
        log.info("run_taken_over", **_ids(run), attempt=run.attempts)

    def called(self, use: ToolUse, cause: BaseException | None) -> None:
        if use.duration_ms is not None:
            self._tool_duration.labels(use.name, use.status.value).observe(use.duration_ms / 1000)
        if use.status is CallStatus.COMPLETED:
            log.debug("tool_called", tool=use.name, duration_ms=use.duration_ms)
            return
        known = {"tool": use.name, "status": use.status.value, "duration_ms": use.duration_ms}
        kind = _kind_of(use, cause)
        log.warning("tool_failed", **known, kind=kind, exc_info=cause if kind == "crashed" else None)

    def dropped(self, payloads: int) -> None:
        self._dropped.inc(payloads)

    def failed(self, what: str, error: BaseException) -> None:
        self._faults.labels(what).inc()
        log.error("fault", what=what, exc_info=error)

    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        self._store_failures.labels(what).inc()
        log.warning("store_unavailable", what=what, code=error.code, cause=str(error))


def _kind_of(use: ToolUse, cause: BaseException | None) -> str:
    """Whose fault it is: only a crash is worth its frames."""
    match cause:
        case ToolArgumentsInvalid():
            return "arguments"
        case TimeoutError():
            return "timeout"
        case ToolError() if cause.__cause__ is None:
            return "said"
        case None:
            return "unknown" if use.status is CallStatus.UNKNOWN else "said"
    return "crashed"


def _ids(run: Run) -> dict[str, str]:
    return {"run_id": run.id, "thread_id": run.thread_id, "user_id": run.owner_id}


def _outcome(end: RunEnd) -> dict[str, object]:
    """What there is to say about an end; never the text. An error's detail is safe to show, and so to log."""
    said = {
        "status": end.outcome.status.value,
        "code": end.outcome.error.code if end.outcome.error else None,
        "detail": end.outcome.error.detail if end.outcome.error else None,
        "upstream_status": end.upstream_status,
        "cause": end.cause,
        "reason": end.outcome.cancel_reason.value if end.outcome.cancel_reason else None,
        "finish_reason": _known(end.outcome.finish_reason),
        "first_piece_ms": end.first_piece_ms,
        "duration_ms": end.duration_ms,
        "prompt_tokens": end.outcome.usage.prompt_tokens if end.outcome.usage else None,
        "completion_tokens": end.outcome.usage.completion_tokens if end.outcome.usage else None,
        "steps": end.tally.steps if end.tally else None,
        "tools": len(end.tally.tools) if end.tally else None,
    }
    return _without_none(said)


def _known(reason: str | None) -> str | None:
    """One that providers are known to give: any other word may be somebody's."""
    return reason if reason is None or reason.lower() in KNOWN_REASONS else "other"


def _without_none(said: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in said.items() if value is not None}
