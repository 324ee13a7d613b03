"""What is counted without Prometheus, and how faults are told without structlog."""

import logging
from datetime import UTC, datetime

import pytest

from chatorch.adapters.memory.telemetry import MemoryTelemetry
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.run import Outcome, Run, RunStatus
from chatorch.ports.execution_store import RunEnd

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
)


def test_runs_are_counted_by_how_they_ended():
    telemetry = MemoryTelemetry()
    for status in (RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.FAILED):
        telemetry.started(RUN)
        telemetry.ended(RUN, RunEnd(RUN.id, 1, Outcome(status), Content.of(CANARY), NOW), pieces=4)
    telemetry.interrupted(3, "the process ended")
    assert telemetry.counts == {"started": 3, "completed": 2, "failed": 1, "pieces": 12, "interrupted": 3}


def test_faults_are_told_by_type_and_outages_by_their_reason(caplog: pytest.LogCaptureFixture):
    telemetry = MemoryTelemetry()
    with caplog.at_level(logging.WARNING):
        telemetry.failed("run", LookupError(CANARY))
        telemetry.store_unavailable("checkpoint", StoreUnavailable("It is full."))
    assert caplog.messages == ["run failed: LookupError", "checkpoint could not be written: It is full."]
    assert telemetry.counts == {"failed.run": 1, "unavailable.checkpoint": 1}
