"""Health, of the whole application."""

import pytest

from chatorch import __version__
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.entrypoints.process.readiness import MISSED
from tests.support.api import Api, Apis, is_time


async def test_health_says_what_this_is_to_anybody(api: Api) -> None:
    answer = await api.anonymous().get("/health")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body = answer.json()
    assert is_time(body.pop("timestamp"))
    assert body == {"status": "healthy", "service": "chat-orchestration-api", "version": __version__}


async def test_without_a_provider_it_says_that_the_offline_model_answers(apis: Apis) -> None:
    api = await apis.start(openai_base_url=None)
    assert (await api.anonymous().get("/health")).json()["model"] == "offline"


async def test_alive_and_ready(api: Api) -> None:
    live = await api.anonymous().get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    ready = await api.anonymous().get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "runs": "ok"}},
    )


async def test_a_process_that_drains_is_alive_but_not_ready(api: Api) -> None:
    await api.container.executor().drain(0.01)
    anybody = api.anonymous()
    health = await anybody.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "draining")
    assert (await anybody.get("/health/live")).status_code == 200
    ready = await anybody.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "ok", "runs": "draining"})


async def test_a_process_whose_database_is_away_is_alive_but_not_ready(memory_api: Api, store: MemoryStore) -> None:
    store.available = False
    anybody = memory_api.anonymous()
    await seen(memory_api)
    assert (await anybody.get("/health")).status_code == 200
    assert (await anybody.get("/health/live")).status_code == 200
    ready = await anybody.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unavailable")
    store.available = True
    await seen(memory_api)
    assert (await anybody.get("/health/ready")).status_code == 200


async def seen(api: Api) -> None:
    """Until readiness has had time to notice."""
    for _ in range(MISSED):
        await api.container.readiness().look()


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_asks_nobody_for_a_token_and_minds_no_wrong_one(api: Api, path: str) -> None:
    assert (await api.anonymous(Authorization="Bearer x.y.z").get(path)).status_code == 200
