"""What is counted and logged of runs, and what is not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog
from prometheus_client import CollectorRegistry

from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId, Usage, UsageSource
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import CancelReason, Outcome, Run, RunError, RunStatus
from chatorch.domain.model.tools import CallStatus, Tally, ToolUse
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.ports.execution_store import RunEnd
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError
from tests.support.logged import logged

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CANARY = "canary-4711"
RUN = Run(
    id=RunId("run_1"),
    thread_id=ThreadId("thr_1"),
    owner_id=UserId("usr_1"),
    user_message_id=MessageId("msg_1"),
    message_id=MessageId("msg_2"),
    status=RunStatus.QUEUED,
    model="a-model",
    created_at=NOW,
    content=Content.of(CANARY),
)


OF_OUTCOME = {"finish_reason", "usage", "error", "cancel_reason"}


def ending(status: RunStatus = RunStatus.COMPLETED, **more) -> RunEnd:
    outcome = Outcome(status, **{name: value for name, value in more.items() if name in OF_OUTCOME})
    others = {name: value for name, value in more.items() if name not in OF_OUTCOME}
    return RunEnd(RunId("run_1"), 1, outcome, Content.of(CANARY), NOW, **others)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry) -> PrometheusTelemetry:
    return PrometheusTelemetry(registry)


def test_a_run_is_logged_where_it_begins_and_where_it_ends(telemetry):
    usage = Usage(7, 5, 12, UsageSource.PROVIDER)
    with logged(level="debug") as out:
        telemetry.started(RUN)
        telemetry.ended(RUN, ending(finish_reason="stop", usage=usage, first_piece_ms=40, duration_ms=900), pieces=3)
    started, ended = out.lines
    ids = {"run_id": "run_1", "thread_id": "thr_1", "user_id": "usr_1"}
    assert started.items() >= ({"event": "run_started", "model": "a-model"} | ids).items()
    assert (
        ended.items()
        >= (
            {"event": "run_ended", "status": "completed", "pieces": 3, "first_piece_ms": 40, "prompt_tokens": 7} | ids
        ).items()
    )
    assert CANARY not in out.text


def test_whatever_is_logged_after_a_run_began_names_it(telemetry):
    with logged() as out:
        telemetry.started(RUN)
        structlog.get_logger().info("request")
    assert out.named("request")[0]["run_id"] == "run_1"


def test_a_completed_run_shows_in_every_figure(telemetry, registry):
    usage = Usage(7, 5, 12, UsageSource.ESTIMATED)
    telemetry.ended(RUN, ending(usage=usage, first_piece_ms=40, duration_ms=900), pieces=3)
    value = registry.get_sample_value
    assert value("chatorch_runs_total", {"status": "completed", "code": ""}) == 1
    assert value("chatorch_pieces_total") == 3
    assert value("chatorch_tokens_total", {"kind": "prompt"}) == 7
    assert value("chatorch_tokens_total", {"kind": "completion"}) == 5
    assert value("chatorch_first_piece_seconds_sum") == pytest.approx(0.04)
    assert value("chatorch_run_duration_seconds_sum") == pytest.approx(0.9)


def test_a_failed_run_is_counted_under_its_code_and_says_why(telemetry, registry):
    with logged() as out:
        telemetry.ended(RUN, ending(RunStatus.FAILED, error=RunError("upstream_timeout", "Too late.")), pieces=0)
    assert registry.get_sample_value("chatorch_runs_total", {"status": "failed", "code": "upstream_timeout"}) == 1
    [line] = out.lines
    assert (line["level"], line["code"], line["detail"]) == ("warning", "upstream_timeout", "Too late.")


@pytest.mark.parametrize(("reason", "shown"), [("stop", "stop"), ("MAX_TOKENS", "MAX_TOKENS"), (CANARY, "other")])
def test_a_finish_reason_is_logged_where_it_is_a_known_one(telemetry, reason, shown):
    with logged() as out:
        telemetry.ended(RUN, ending(finish_reason=reason), pieces=0)
    assert out.lines[0]["finish_reason"] == shown


def test_a_cancelled_run_says_why(telemetry):
    with logged() as out:
        telemetry.ended(RUN, ending(RunStatus.CANCELLED, cancel_reason=CancelReason.DETACHED), pieces=0)
    assert out.lines[0].items() >= {"status": "cancelled", "reason": "detached"}.items()


def test_a_turn_of_several_steps_is_counted_with_its_calls_by_name_only(telemetry, registry):
    value = registry.get_sample_value
    with logged() as out:
        telemetry.called(ToolUse("weather", CallStatus.COMPLETED, 250), None)
        telemetry.called(ToolUse("pay", CallStatus.FAILED, 5), ToolError(CANARY))
        uses = (ToolUse("weather", CallStatus.COMPLETED, 250), ToolUse("pay", CallStatus.FAILED, 5))
        telemetry.ended(RUN, replace(ending(), tally=Tally(3, None, uses)), pieces=9)
    assert value("chatorch_tool_duration_seconds_sum", {"tool": "weather", "status": "completed"}) == 0.25
    assert value("chatorch_tool_duration_seconds_count", {"tool": "pay", "status": "failed"}) == 1
    assert value("chatorch_steps_total") == 3
    [failed] = out.named("tool_failed")
    assert failed.items() >= {"tool": "pay", "status": "failed", "duration_ms": 5, "level": "warning"}.items()
    assert (failed["kind"], failed.get("error")) == ("said", None)
    assert CANARY not in out.text
    assert out.named("run_ended")[0].items() >= {"steps": 3, "tools": 2}.items()


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ToolArgumentsInvalid(CANARY), "arguments"),
        (TimeoutError(CANARY), "timeout"),
        (ValueError(CANARY), "crashed"),
        (None, "said"),
    ],
)
def test_a_call_that_failed_says_whose_fault_that_is(telemetry, cause, kind):
    with logged() as out:
        telemetry.called(ToolUse("pay", CallStatus.FAILED, 5), cause)
    [line] = out.lines
    assert line["kind"] == kind
    assert ("error" in line) is (kind == "crashed")
    assert CANARY not in out.text


def test_a_fault_of_ours_is_logged_by_type_without_its_message(telemetry, registry):
    with logged() as out:
        telemetry.failed("a run", ValueError(CANARY))
    assert out.lines[0]["error"][0]["type"] == "ValueError"
    assert CANARY not in out.text
    assert registry.get_sample_value("chatorch_faults_total", {"what": "a run"}) == 1


def test_lost_runs_and_failing_writes_are_counted_and_warned_of(telemetry, registry):
    with logged() as out:
        telemetry.lost(RUN)
        telemetry.store_unavailable("a checkpoint", StoreUnavailable("The disk is full."))
    assert [line["level"] for line in out.lines] == ["warning", "warning"]
    assert registry.get_sample_value("chatorch_runs_lost_total") == 1
    assert registry.get_sample_value("chatorch_store_failures_total", {"what": "a checkpoint"}) == 1


def test_runs_that_nobody_carried_out_any_more_are_one_line_and_counted(telemetry, registry):
    with logged() as out:
        telemetry.interrupted(3, "gone")
    assert out.lines[0].items() >= {"event": "runs_interrupted", "count": 3, "reason": "gone", "level": "info"}.items()
    assert registry.get_sample_value("chatorch_runs_total", {"status": "interrupted", "code": ""}) == 3
    assert registry.get_sample_value("chatorch_messages_processed_total") == 3


def test_the_operators_figures_count_every_message_that_was_dealt_with(telemetry, registry):
    metrics = Metrics(registry)
    telemetry.ended(RUN, ending(), pieces=1)
    telemetry.ended(RUN, ending(RunStatus.CANCELLED, cancel_reason=CancelReason.USER), pieces=1)
    assert metrics.as_dict()["total_messages_processed"] == 2
