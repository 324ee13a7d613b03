"""What Prometheus is told about requests, connections and this process. Runs report through `RunTelemetry`."""

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from chatorch import __version__

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
MESSAGES_PROCESSED = "chatorch_messages_processed_total"
REDIS_UP = "chatorch_redis_up"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The collectors of one process, in a registry of its own. Durations are in seconds.

    `redis_up` says whether Redis is there now; None where there need be none.
    """

    def __init__(self, registry: CollectorRegistry, redis_up: Callable[[], bool] | None = None) -> None:
        self._registry = registry
        self._redis_up = redis_up
        self._started_at = time.monotonic()
        labels = ("route", "method", "status")
        self._requests = Counter("chatorch_http_requests_total", "Requests answered.", labels, registry=registry)
        self._request_seconds = Histogram(
            "chatorch_http_request_duration_seconds",
            "From the request's headers to the end of its response; a stream lasts as long as it is followed.",
            ("route", "method"),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "chatorch_connections_refused_total",
            "Connections for which there was no room.",
            ("reason",),
            registry=registry,
        )
        self._by_label: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._connections = Gauge(
            "chatorch_active_connections", "Event streams and WebSockets that are open.", registry=registry
        )
        self._live_runs = Gauge("chatorch_live_runs", "Runs in flight in this process.", registry=registry)
        self._lag = Gauge("chatorch_loop_lag_seconds", "How late the event loop woke last.", registry=registry)
        self._lags = Histogram(
            "chatorch_loop_lag_duration_seconds",
            "How late the event loop woke.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._pool_in_use = Gauge("chatorch_db_pool_in_use", "Database connections checked out.", registry=registry)
        self._pool_size = Gauge("chatorch_db_pool_size", "Database connections at most.", registry=registry)
        if redis_up is not None:
            Gauge(REDIS_UP, "1 while Redis answers, else 0.", registry=registry).set_function(redis_up)
        build = Gauge("chatorch_build_info", "Always 1.", ("version", "python"), registry=registry)
        build.labels(__version__, platform.python_version()).set(1)

    def request_done(self, route: str, method: str, status: int, duration_s: float) -> None:
        """`route` is a template and `method` a known one: both become labels."""
        key = (route, method, status)
        found = self._by_label.get(key)
        if found is None:
            found = (self._requests.labels(*key), self._request_seconds.labels(route, method))
            self._by_label[key] = found
        found[0].inc()
        found[1].observe(duration_s)

    def connection_refused(self, reason: str) -> None:
        """``all``, ``address`` or ``files``: what there were too many of."""
        self._refused.labels(reason).inc()

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Counts one event stream or WebSocket as open while inside."""
        self._connections.inc()
        try:
            yield
        finally:
            self._connections.dec()

    def loop_was_late(self, seconds: float) -> None:
        self._lag.set(seconds)
        self._lags.observe(seconds)

    def look_up(
        self, *, live_runs: Callable[[], int], pool_in_use: Callable[[], int], pool_size: Callable[[], int]
    ) -> None:
        """Where to ask for what is not counted here, each time that the metrics are read."""
        self._live_runs.set_function(live_runs)
        self._pool_in_use.set_function(pool_in_use)
        self._pool_size.set_function(pool_size)

    def as_text(self) -> bytes:
        """The Prometheus text format 0.0.4; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What `as_text` writes."""
        return self._registry.collect()

    def as_dict(self) -> dict[str, float]:
        """The few figures that a person asks for, of this process since it started; `uptime` is in seconds.

        `redis_up` is there only where there should be a Redis.
        """
        figures = {
            "active_connections": self._integer("chatorch_active_connections"),
            "total_messages_processed": self._integer(MESSAGES_PROCESSED),
            "uptime": round(time.monotonic() - self._started_at, 3),
            "live_runs": self._integer("chatorch_live_runs"),
            "db_pool_in_use": self._integer("chatorch_db_pool_in_use"),
            "db_pool_size": self._integer("chatorch_db_pool_size"),
            "loop_lag_seconds": self._registry.get_sample_value("chatorch_loop_lag_seconds") or 0.0,
        }
        return figures if self._redis_up is None else {**figures, "redis_up": int(self._redis_up())}

    def _integer(self, name: str) -> int:
        return int(self._registry.get_sample_value(name) or 0)
