"""``/metrics`` after something has happened."""

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatorch.domain.model.upstream_errors import UpstreamTimeout
from tests.support.api import Api, Apis, ask, live_run, problem_of, said

FIGURES = {
    "active_connections",
    "total_messages_processed",
    "uptime",
    "live_runs",
    "db_pool_in_use",
    "db_pool_size",
    "loop_lag_seconds",
}


async def samples(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await api.anonymous().get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


async def figures(api: Api) -> dict[str, float]:
    answer = await api.anonymous().get("/metrics", headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body.keys() == FIGURES
    return body


async def test_what_happened_is_counted(api: Api, alice: httpx.AsyncClient) -> None:
    await ask(alice)
    api.model.then("half", UpstreamTimeout())
    await alice.post("/api/chat/protected", json=said())
    found = await samples(api)
    assert found["chatorch_messages_processed_total", ()] == 2
    assert found["chatorch_runs_total", (("code", ""), ("status", "completed"))] == 1
    assert found["chatorch_runs_total", (("code", "upstream_timeout"), ("status", "failed"))] == 1
    labels = (("method", "POST"), ("route", "/api/chat/protected"), ("status", "200"))
    assert found["chatorch_http_requests_total", labels] == 1
    assert found["chatorch_live_runs", ()] == 0


async def test_a_few_figures_for_who_accepts_json(api: Api, alice: httpx.AsyncClient) -> None:
    before = await figures(api)
    assert [before[name] for name in ("active_connections", "total_messages_processed", "live_runs")] == [0, 0, 0]
    await ask(alice)
    async with live_run(api, alice, "a", stream=True) as live:
        during = await figures(api)
        assert [during[name] for name in ("active_connections", "total_messages_processed", "live_runs")] == [1, 1, 1]
        await live.end()
    after = await figures(api)
    assert [after[name] for name in ("active_connections", "total_messages_processed", "live_runs")] == [0, 2, 0]
    assert after["uptime"] > before["uptime"] >= 0


async def test_labels_never_grow_with_what_clients_send(api: Api, alice: httpx.AsyncClient) -> None:
    async def routes() -> set[tuple[tuple[str, str], ...]]:
        return {labels for name, labels in await samples(api) if name == "chatorch_http_requests_total"}

    await alice.get("/nowhere")
    await alice.get("/api/threads/thr_0")
    await alice.request("BREW", "/nowhere")
    await routes()
    before = await routes()
    for i in range(20):
        await alice.get(f"/nowhere/{i}")
        await alice.get(f"/api/threads/thr_{i}")
        await alice.request(f"BREW{i}", "/nowhere")
    assert await routes() == before


@pytest.mark.parametrize("accept", ["text/plain", "application/json"])
async def test_where_a_token_is_set_it_is_required(apis: Apis, accept: str) -> None:
    api = await apis.start(metrics_token="metrics-token")
    alice = await api.user("alice")
    anybody = api.anonymous(Accept=accept)
    problem_of(await anybody.get("/metrics"), 401, "not_authenticated")
    wrong = [{"Authorization": "Bearer wrong"}, {"Authorization": alice.headers["Authorization"]}]
    for headers in wrong:
        answer = await anybody.get("/metrics", headers=headers)
        problem_of(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    right = await anybody.get("/metrics", headers={"Authorization": "Bearer metrics-token"})
    assert right.status_code == 200


FORWARDED = [
    {},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"X-Forwarded-Proto": "https"},
    {"Via": "1.1 proxy"},
]


async def read_from(api: Api, client: tuple[str, int] | None, **headers: str) -> httpx.Response:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await api.app({**scope, "client": client}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as anybody:
        return await anybody.get("/metrics", headers=headers)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.3.4", "::1", "::ffff:127.0.0.1"])
async def test_without_a_token_it_is_for_loopback_and_not_for_who_is_behind_a_proxy_there(
    api: Api, address: str
) -> None:
    assert (await read_from(api, (address, 1))).status_code == 200
    for headers in FORWARDED[1:]:
        problem_of(await read_from(api, (address, 1), **headers), 403, "metrics_closed")


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", None])
async def test_without_a_token_it_is_closed_to_everybody_else(api: Api, address: str | None) -> None:
    client = None if address is None else (address, 1)
    for headers in FORWARDED:
        body = problem_of(await read_from(api, client, **headers), 403, "metrics_closed")
        assert "CHATORCH_METRICS_TOKEN" in body["detail"]


async def test_with_a_token_it_is_open_to_who_has_it_from_wherever(apis: Apis) -> None:
    api = await apis.start(metrics_token="metrics-token")
    for client in (("192.0.2.1", 1), None):
        answer = await read_from(api, client, Authorization="Bearer metrics-token")
        assert answer.status_code == 200
        problem_of(await read_from(api, client), 401, "not_authenticated")


async def test_it_is_made_once_however_many_ask(apis: Apis) -> None:
    api = await apis.start(swapped={"metrics_kept_s": 60.0})
    anybody = api.anonymous()
    for accept in ("*/*", "application/json"):
        texts = {(await anybody.get("/metrics", headers={"Accept": accept})).content for _ in range(20)}
        assert len(texts) == 1
