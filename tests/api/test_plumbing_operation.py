"""Health and metrics, over a container of stand-ins."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from chatorch import __version__
from chatorch.adapters.system import SystemClock
from chatorch.adapters.telemetry import PrometheusTelemetry
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.entrypoints.api.routes import health
from chatorch.entrypoints.api.schemas import HealthOut, ReadyOut
from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.plumbing import install_plumbing
from chatorch.entrypoints.metrics import route as operation
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.metrics.schemas import MetricsOut
from chatorch.entrypoints.metrics.scrapes import Scrapes
from chatorch.entrypoints.process.readiness import MISSED, Readiness
from chatorch.entrypoints.settings import Settings
from tests.support.logged import logged
from tests.support.plumbed_app import client_of

SECRET = "s" * 32


class Database:
    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault

    async def ping(self) -> None:
        if self.fault is not None:
            raise self.fault

    def in_use(self) -> int:
        return 2

    def size(self) -> int:
        return 5


def operated_app(
    *,
    draining: bool = False,
    fault: Exception | None = None,
    redis_up: bool | None = None,
    problem: str | None = None,
    **settings: object,
) -> FastAPI:
    registry = CollectorRegistry()
    is_up = None if redis_up is None else lambda: redis_up
    metrics = Metrics(registry, is_up)
    PrometheusTelemetry(registry)
    container = SimpleNamespace(
        settings=lambda: Settings(secret_key=SECRET, **settings),
        metrics=lambda: metrics,
        scrapes=lambda: scrapes,
        readiness=lambda: readiness,
        database=lambda: database,
        executor=lambda: SimpleNamespace(draining=draining, live=3),
        backplane=lambda: SimpleNamespace(redis_up=is_up, redis_problem=lambda: problem),
    )
    database = Database(fault)
    readiness = Readiness(database, SystemClock())
    metrics.look_up(live_runs=lambda: 3, pool_in_use=database.in_use, pool_size=database.size)
    scrapes = Scrapes(metrics, SystemClock())
    app = FastAPI()
    app.state.container = container
    app.include_router(health.router)
    app.include_router(operation.router)
    install_plumbing(app, doors=Doors(), metrics=metrics, body_cap=1000)
    return app


async def get(app: FastAPI, path: str, **headers: str):
    async with client_of(app) as client:
        return await client.get(path, headers=headers)


async def test_health_says_what_this_is():
    answer = await get(operated_app(openai_api_key="sk-x"), "/health")
    body = HealthOut.model_validate(answer.json())
    assert (answer.status_code, body.status, body.service) == (200, "healthy", "chat-orchestration-api")
    assert body.version == __version__
    assert body.timestamp.endswith("Z")
    assert "model" not in answer.json()


async def test_health_says_that_the_offline_model_answers():
    assert (await get(operated_app(), "/health")).json()["model"] == "offline"


@pytest.mark.parametrize(("redis_up", "told"), [(True, "up"), (False, "down"), (None, None)])
async def test_health_says_whether_redis_is_there_and_nobody_is_unready_without(redis_up, told):
    app = operated_app(redis_up=redis_up)
    answer = await get(app, "/health")
    assert (answer.status_code, HealthOut.model_validate(answer.json()).status) == (200, "healthy")
    assert answer.json().get("redis") == told
    assert "redis_problem" not in answer.json()
    figures = MetricsOut.model_validate((await get(app, "/metrics", accept="application/json")).json())
    assert figures.redis_up == redis_up
    assert (await get(app, "/health/ready")).status_code == 200


async def test_health_says_what_is_wrong_with_redis_and_what_to_do():
    problem = "READONLY: it is a replica; REDIS_URL must lead to the primary"
    answer = await get(operated_app(redis_up=False, problem=problem), "/health")
    assert HealthOut.model_validate(answer.json()).redis_problem == problem
    assert (answer.status_code, answer.json()["redis"]) == (200, "down")


async def test_a_draining_process_is_alive_but_not_ready():
    app = operated_app(draining=True)
    assert (await get(app, "/health")).json()["status"] == "draining"
    assert (await get(app, "/health/live")).status_code == 200
    answer = await get(app, "/health/ready")
    assert (answer.status_code, answer.json()["checks"]["runs"]) == (503, "draining")


async def test_ready_when_the_database_answers():
    answer = await get(operated_app(), "/health/ready")
    assert (answer.status_code, ReadyOut.model_validate(answer.json()).status) == (200, "ready")


@pytest.mark.parametrize(
    ("fault", "check"),
    [(StoreUnavailable(), "unavailable"), (RuntimeError("canary"), "unavailable"), (TimeoutError(), "timeout")],
)
async def test_not_ready_when_it_does_not(fault, check):
    app = operated_app(fault=fault)
    with logged() as out:
        for _ in range(MISSED):
            assert (await get(app, "/health/ready")).status_code == 200
            await app.state.container.readiness().look()
        answer = await get(app, "/health/ready")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, check)
    assert "canary" not in answer.text + out.text


async def test_health_checks_that_go_well_are_not_logged():
    with logged() as out:
        await get(operated_app(), "/health/ready")
        await get(operated_app(draining=True), "/health/ready")
    assert [line["status"] for line in out.named("request")] == [503]


async def test_metrics_are_text_for_prometheus():
    answer = await get(operated_app(), "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for line in ("chatorch_live_runs 3.0", "chatorch_db_pool_in_use 2.0", "chatorch_db_pool_size 5.0"):
        assert line in answer.text.splitlines()


async def test_metrics_are_a_few_figures_for_who_accepts_json():
    app = operated_app()
    with app.state.container.metrics().connection():
        answer = await get(app, "/metrics", Accept="application/json")
    figures = MetricsOut.model_validate(answer.json())
    assert (figures.active_connections, figures.live_runs, figures.total_messages_processed) == (1, 3, 0)
    assert figures.uptime >= 0


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Bearer wrong", 401), ("Basic token-1", 401), ("token-1", 401), ("Bearer é", 401),
     ("Bearer token-1", 200), ("bearer  token-1", 200)],
)  # fmt: skip
async def test_the_metrics_token_is_required_where_it_is_set(authorization, status):
    app = operated_app(metrics_token="token-1")
    headers = {"Authorization": authorization.encode()} if authorization else {}
    async with client_of(app) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
