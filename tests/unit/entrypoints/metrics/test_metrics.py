"""The figures of one process."""

import pytest
from prometheus_client import CollectorRegistry

from chatorch import __version__
from chatorch.entrypoints.metrics.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_requests_are_counted_and_timed_by_route_method_and_status(metrics):
    metrics.request_done("/api/runs/{run_id}", "GET", 200, 0.02)
    metrics.request_done("/api/runs/{run_id}", "GET", 200, 0.03)
    metrics.request_done("/api/runs/{run_id}", "GET", 404, 0.01)
    text = metrics.as_text().decode()
    assert 'chatorch_http_requests_total{method="GET",route="/api/runs/{run_id}",status="200"} 2.0' in text
    assert 'chatorch_http_request_duration_seconds_count{method="GET",route="/api/runs/{run_id}"} 3.0' in text


def test_a_connection_counts_while_it_is_open_and_not_when_it_broke(metrics):
    def break_off() -> None:
        with metrics.connection(), metrics.connection():
            assert metrics.as_dict()["active_connections"] == 2
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert metrics.as_dict()["active_connections"] == 0


def test_what_is_looked_up_shows_in_both_forms(metrics):
    metrics.look_up(live_runs=lambda: 3, pool_in_use=lambda: 1, pool_size=lambda: 5)
    metrics.loop_was_late(0.02)
    assert metrics.as_dict().items() >= {
        "live_runs": 3, "db_pool_in_use": 1, "db_pool_size": 5, "loop_lag_seconds": 0.02,
    }.items()  # fmt: skip
    assert "chatorch_live_runs 3.0" in metrics.as_text().decode()


def test_redis_shows_in_both_forms_where_there_should_be_one_and_in_neither_where_not(metrics):
    up = True
    beside_redis = Metrics(CollectorRegistry(), lambda: up)
    assert beside_redis.as_dict()["redis_up"] == 1
    assert "chatorch_redis_up 1.0" in beside_redis.as_text().decode()
    up = False
    assert beside_redis.as_dict()["redis_up"] == 0
    assert "chatorch_redis_up 0.0" in beside_redis.as_text().decode()
    assert "redis_up" not in metrics.as_dict()
    assert "redis_up" not in metrics.as_text().decode()


def test_mcp_servers_show_where_there_are_some(metrics):
    assert "mcp" not in metrics.as_text().decode()
    up = {"files": True, "hub": False}
    metrics.look_up_mcp(lambda: up)
    text = metrics.as_text().decode()
    assert 'chatorch_mcp_up{server="files"} 1.0' in text
    assert 'chatorch_mcp_up{server="hub"} 0.0' in text
    up["hub"] = True
    assert 'chatorch_mcp_up{server="hub"} 1.0' in metrics.as_text().decode()


def test_uptime_is_the_process_own(metrics):
    assert 0 <= metrics.as_dict()["uptime"] < 5


def test_the_build_is_told(metrics):
    assert f'version="{__version__}"' in metrics.as_text().decode()


def test_two_processes_in_one_keep_their_figures_apart():
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.request_done("/x", "GET", 200, 0.1)
    assert "/x" not in other.as_text().decode()
