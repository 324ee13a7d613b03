"""The line of a request that is refused, and of a run that fails, says why; and nothing that somebody wrote."""

from typing import Any

import asyncpg
import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.upstream_errors import UpstreamTimeout, UpstreamUnavailable
from tests.support.api import Api, Apis, credentials, live_run, said
from tests.support.canaries import Canaries
from tests.support.eventually import eventually
from tests.support.logged import Logged, logged
from tests.support.postgres import Databases

CHAT = "/api/chat/protected"

KINDS: list[tuple[int, str, str, str, dict[str, Any]]] = [
    (401, "invalid_token", "GET", "/api/threads", {"headers": {"Authorization": "Bearer TOKEN"}}),
    (401, "invalid_token", "GET", "/api/threads?q=QUERY", {"headers": {"Authorization": ""}}),
    (401, "invalid_grant", "POST", "/token", {"data": credentials("nobody", "PASSWORD")}),
    (403, "insufficient_scope", "POST", "/api/broadcast", {"json": {"text": "TEXT"}}),
    (404, "not_found", "GET", "/api/runs/PATH", {}),
    (404, "not_found", "GET", "/PATH?QUERY", {}),
    (405, "method_not_allowed", "DELETE", "/api/me", {}),
    (413, "content_too_large", "POST", CHAT, {"content": b'"TEXT"' * 400_000}),
    (415, "unsupported_media_type", "POST", CHAT, {"content": b"TEXT", "headers": {"Content-Type": "text/plain"}}),
    (422, "invalid_request", "POST", CHAT, {"json": {"messages": [{"role": "user", "content": {"TEXT": 1}}]}}),
    (422, "invalid_request", "POST", CHAT, {"json": {"messages": "TEXT", "FIELD": "TEXT"}}),
    (422, "model_not_allowed", "POST", CHAT, {"json": said("TEXT", model="MODEL")}),
    (503, "chatkit_not_configured", "POST", "/api/chatkit/session", {"json": {}}),
]


def marked(value: Any, canaries: Canaries) -> Any:
    """The same with a mark in place of each word in capitals."""
    words = ("TOKEN", "QUERY", "PASSWORD", "TEXT", "PATH", "FIELD", "MODEL")
    match value:
        case str():
            for word in words:
                value = value.replace(word, canaries[word])
            return value
        case bytes():
            return marked(value.decode(), canaries).encode()
        case dict():
            return {marked(name, canaries): marked(inner, canaries) for name, inner in value.items()}
        case list():
            return [marked(inner, canaries) for inner in value]
    return value


def the_line(out: Logged, canaries: Canaries, answer: httpx.Response) -> dict[str, Any]:
    assert canaries.found_in(out.text) == []
    [line] = out.named("request")
    assert line["status"] == answer.status_code
    assert line["request_id"] == answer.headers["X-Request-ID"]
    if answer.status_code >= 400:
        assert (line["code"], line["detail"]) == (answer.json()["code"], answer.json()["detail"])
    return line


@pytest.mark.parametrize(("status", "code", "method", "path", "given"), KINDS)
async def test_the_line_of_a_refusal_has_the_problems_code_and_detail(
    api: Api, alice: httpx.AsyncClient, status: int, code: str, method: str, path: str, given: dict[str, Any]
) -> None:
    canaries = Canaries()
    with logged() as out:
        answer = await alice.request(method, marked(path, canaries), **marked(given, canaries))
    line = the_line(out, canaries, answer)
    assert (line["status"], line["code"]) == (status, code)


async def test_the_line_of_a_busy_thread_names_the_run(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice) as run:
        thread = (await alice.get(f"/api/runs/{run.id}")).json()["thread_id"]
        with logged() as out:
            answer = await alice.post(CHAT, json=said(thread_id=thread))
        line = the_line(out, Canaries(), answer)
        assert (line["status"], line["code"], line["run_id"]) == (409, "thread_busy", run.id)


async def test_the_line_of_a_limit_names_it(apis: Apis) -> None:
    api = await apis.start(max_live_runs_per_user=1)
    alice = await api.user("alice")
    async with live_run(api, alice):
        with logged() as out:
            answer = await alice.post(CHAT, json=said())
        assert the_line(out, Canaries(), answer)["code"] == "too_many_runs"


async def test_the_line_while_the_store_is_away_says_why(memory_api: Api, store: MemoryStore) -> None:
    alice = await memory_api.user("alice")
    store.available = False
    with logged() as out:
        answer = await alice.get("/api/threads")
    assert the_line(out, Canaries(), answer)["code"] == "store_unavailable"


@pytest.mark.parametrize(
    ("failure", "status", "told"),
    [
        (UpstreamUnavailable(cause="connection refused"), 503, {"cause": "connection refused"}),
        (UpstreamUnavailable(status=502), 503, {"upstream_status": 502}),
        (UpstreamTimeout(cause="nothing more within 30 s (idle)"), 504, {"cause": "nothing more within 30 s (idle)"}),
    ],
)
async def test_the_line_of_a_failed_run_says_why(
    api: Api, alice: httpx.AsyncClient, failure: Exception, status: int, told: dict[str, object]
) -> None:
    canaries = Canaries()
    api.model.then(canaries["answer"], failure)
    with logged() as out:
        answer = await alice.post(CHAT, json=said(canaries["question"]))
    line = the_line(out, canaries, answer)
    [ended] = out.named("run_ended")
    assert line["status"] == status
    assert ended.items() >= ({"code": line["code"], "detail": line["detail"], "model": "a-model"} | told).items()
    assert ended["run_id"] == line["run_id"]


async def test_the_line_of_a_fault_of_ours_has_its_code_and_no_more(apis: Apis) -> None:
    canaries = Canaries()

    class Broken:
        async def list_threads(self, *_: object) -> None:
            raise RuntimeError(canaries["error"])

    api = await apis.start(swapped={"threads": Broken()})
    alice = await api.user("alice")
    with logged() as out:
        answer = await alice.get("/api/threads")
    line = the_line(out, canaries, answer)
    assert (line["status"], line["code"], line["detail"]) == (500, "internal_error", "An error occurred")
    [fault] = out.named("request_failed")
    assert (fault["request_id"], fault["error"][0]["type"]) == (line["request_id"], "RuntimeError")


async def test_the_line_while_postgresql_takes_no_writes_has_the_sqlstate(apis: Apis, postgres: Databases) -> None:
    url = await postgres.fresh()
    api = await apis.start(database_url=url)
    alice = await api.user("alice")
    admin = await asyncpg.connect(url)
    await admin.execute(f'ALTER DATABASE "{url.rsplit("/", 1)[1]}" SET default_transaction_read_only = on')
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()

    async def refused() -> dict[str, Any]:
        with logged() as out:
            answer = await alice.post(CHAT, json=said())
        line = the_line(out, Canaries(), answer)
        return line if "25006" in line.get("cause", "") else {}

    line = await eventually(refused)
    assert (line["status"], line["code"]) == (503, "store_unavailable")
    assert line["cause"].startswith("PostgreSQL is read-only: ")
