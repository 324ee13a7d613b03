"""What becomes of sessions, as operators see it."""

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from chatorch.adapters.chatkit_hosted.telemetry import PrometheusSessionTelemetry
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.chatkit_hosted.session import SessionId, SessionStatus, opening
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from tests.support.logged import logged

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_chatkit_session_that_fails_says_why():
    registry = CollectorRegistry()
    telemetry = PrometheusSessionTelemetry(registry, PrometheusTelemetry(registry))
    session = opening(SessionId("cks_1"), UserId("usr_1"), "wf_1", NOW, timedelta(seconds=600), generation=0)
    with logged() as out:
        telemetry.session(session, SessionStatus.ACTIVE)
        telemetry.session(session, SessionStatus.LOST, UpstreamUnavailable("Away.", status=503, cause="refused"))
    well, lost = out.lines
    ids = {"event": "chatkit_session", "session_id": "cks_1", "user_id": "usr_1"}
    assert well.items() >= ({"status": "active", "level": "info"} | ids).items()
    why = {"code": "upstream_unavailable", "detail": "Away.", "upstream_status": 503, "cause": "refused"}
    assert lost.items() >= ({"status": "lost", "level": "warning"} | ids | why).items()
    counted = {"status": "lost", "code": "upstream_unavailable"}
    assert registry.get_sample_value("chatorch_chatkit_sessions_total", counted) == 1
