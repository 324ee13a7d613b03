"""What Prometheus is told about requests, connections and this process. Runs report through `RunTelemetry`."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from chatorch import __version__

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
REDIS_UP = "chatorch_redis_up"
WHOLE = {
    "active_connections": "chatorch_active_connections",
    "total_messages_processed": "chatorch_messages_processed_total",
    "live_runs": "chatorch_live_runs",
    "db_pool_in_use": "chatorch_db_pool_in_use",
    "db_pool_size": "chatorch_db_pool_size",
}
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_Mode = Literal["livesum", "livemax", "livemin"]
"""What the gauges of the processes that live make together."""


class Metrics(Collector):
    """The collectors of one process, in a registry of its own. Durations are in seconds.

    `redis_up` says whether Redis is there now; None where there need be none. `folder` is where `prometheus_client`
    keeps the values of several processes that answer as one (its multiprocess mode): counters and histograms of all
    that there ever were, gauges of those that live. None: this process answers for itself.
    """

    def __init__(
        self, registry: CollectorRegistry, redis_up: Callable[[], bool] | None = None, folder: str | None = None
    ) -> None:
        self._registry = registry
        self._of_all = MultiProcessCollector(None, folder) if folder else None  # type: ignore[no-untyped-call]
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
        gauge = self._gauge
        self._connections = gauge(
            "chatorch_active_connections", "Event streams and WebSockets that are open.", "livesum"
        )
        self._live_runs = gauge("chatorch_live_runs", "Runs in flight.", "livesum")
        self._lag = gauge("chatorch_loop_lag_seconds", "How late the event loop woke last.", "livemax")
        self._lags = Histogram(
            "chatorch_loop_lag_duration_seconds",
            "How late the event loop woke.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._pool_in_use = gauge("chatorch_db_pool_in_use", "Database connections checked out.", "livesum")
        self._pool_size = gauge("chatorch_db_pool_size", "Database connections at most.", "livesum")
        self._elsewhere: dict[Gauge, Callable[[], float]] = {}
        if redis_up is not None:
            self._elsewhere[gauge(REDIS_UP, "1 while Redis answers, else 0.", "livemin")] = redis_up
        self._tell_build()

    def _gauge(self, name: str, doc: str, mode: _Mode, *labels: str) -> Gauge:
        return Gauge(name, doc, labels, registry=self._registry, multiprocess_mode=mode)

    def _tell_build(self) -> None:
        build = self._gauge("chatorch_build_info", "Always 1.", "livemax", "version", "python")
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
        """Where to ask for what is not counted here; see `sample`."""
        self._elsewhere |= {self._live_runs: live_runs, self._pool_in_use: pool_in_use, self._pool_size: pool_size}

    def look_up_mcp(self, up: Callable[[], Mapping[str, bool]]) -> None:
        """Which servers of tools are there, by name. 0 where one of the workers misses it."""
        gauge = self._gauge("chatorch_mcp_up", "1 while the MCP server is there, else 0.", "livemin", "server")
        self._elsewhere |= {gauge.labels(name): partial(_is_up, up, name) for name in up()}

    def sample(self) -> None:
        """Writes down what is not counted here, as it is now. Reading does so too, but for this process only."""
        for gauge, ask in list(self._elsewhere.items()):  # a reader's thread may be here while more is looked up
            gauge.set(ask())

    def collect(self) -> list[Metric]:
        """Of all processes that answer as one; of this one alone also where somebody has removed the files."""
        self.sample()
        shared = [] if self._of_all is None else list(self._of_all.collect())  # type: ignore[no-untyped-call]
        return shared or list(self._registry.collect())

    def as_text(self) -> bytes:
        """The Prometheus text format 0.0.4; its type is `CONTENT_TYPE`."""
        return generate_latest(self)

    def as_dict(self) -> dict[str, float]:
        """The few figures that a person asks for; `uptime` is this process's, in seconds.

        `redis_up` is there only where there should be a Redis.
        """
        found = {sample.name: sample.value for metric in self.collect() for sample in metric.samples}
        figures = {
            **{shown: int(found.get(name, 0)) for shown, name in WHOLE.items()},
            "uptime": round(time.monotonic() - self._started_at, 3),
            "loop_lag_seconds": found.get("chatorch_loop_lag_seconds", 0.0),
        }
        return figures | ({"redis_up": int(found[REDIS_UP])} if REDIS_UP in found else {})


def _is_up(up: Callable[[], Mapping[str, bool]], name: str) -> float:
    return float(up()[name])
