"""What becomes of sessions: a Prometheus collector, and a log line each."""

import structlog
from prometheus_client import CollectorRegistry, Counter

from chatorch.domain.model.chatkit_hosted.session import ClientSession, SessionStatus
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.domain.model.upstream_errors import UpstreamError
from chatorch.ports.chatkit_hosted.telemetry import SessionTelemetry
from chatorch.ports.telemetry import RunTelemetry

log = structlog.get_logger(__name__)


class PrometheusSessionTelemetry(SessionTelemetry):
    """Records into a collector of its own in `registry`; faults and outages are told to `process`, as all of them."""

    def __init__(self, registry: CollectorRegistry, process: RunTelemetry) -> None:
        self._process = process
        self._sessions = Counter(
            "chatorch_chatkit_sessions_total",
            "What became of ChatKit sessions.",
            ("status", "code"),
            registry=registry,
        )

    def session(self, session: ClientSession, status: SessionStatus, error: UpstreamError | None = None) -> None:
        self._sessions.labels(status.value, error.code if error else "").inc()
        said = {"session_id": session.id, "user_id": session.user_id, "status": status.value}
        if error is None:
            log.info("chatkit_session", **said)
        else:
            why = {"detail": error.detail, "upstream_status": error.status, "cause": error.cause}
            known = {name: value for name, value in why.items() if value is not None}
            log.warning("chatkit_session", **said, code=error.code, **known)

    def failed(self, what: str, error: BaseException) -> None:
        self._process.failed(what, error)

    def store_unavailable(self, what: str, error: StoreUnavailable) -> None:
        self._process.store_unavailable(what, error)
