"""What every answer has, route by route and kind by kind: an id, ``nosniff``, a word for caches, when to come again.

What the connection itself answers is in `test_edge_smuggling` and `test_edge_caps`.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import SystemClock
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from tests.support.api import SECRET_KEY, Api, Apis, ask, credentials, in_memory, live_run, said
from tests.support.chatkit import SETTINGS, FakeChatKit

ORIGIN = "https://app.example"
CAP = 2000
CHAT = "/api/chat/protected"
HIDDEN = [("GET", path) for path in ("/", "/docs", "/openapi.json", "/ws/chat/phone", "/nowhere", "/favicon.ico")]

Ask = Callable[[httpx.AsyncClient, str, str], Any]

JSON = {"Content-Type": "application/json"}
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
KINDS: dict[str, Ask] = {
    "plain": lambda client, method, path: client.request(method, path),
    "head": lambda client, _, path: client.head(path),
    "options": lambda client, _, path: client.options(path),
    "preflight": lambda client, _, path: client.options(path, headers=PREFLIGHT),
    "foreign preflight": lambda client, _, path: client.options(path, headers={**PREFLIGHT, "Origin": "https://x.y"}),
    "from a page": lambda client, method, path: client.request(method, path, headers={"Origin": ORIGIN}),
    "another method": lambda client, _, path: client.request("TRACE", path),
    "an unknown method": lambda client, _, path: client.request("BREW", path),
    "no JSON": lambda client, method, path: client.request(method, path, content=b"{", headers=JSON),
    "no object": lambda client, method, path: client.request(method, path, json=[1]),
    "no type": lambda client, method, path: client.request(method, path, content=b"x"),
    "too large": lambda client, method, path: client.request(method, path, content=b" " * (CAP + 1), headers=JSON),
    "NUL": lambda client, method, path: client.request(method, f"{path}?x=%00"),
    "a position": lambda client, method, path: client.request(method, path, headers={"Last-Event-ID": "x"}),
    "a bad token": lambda client, method, path: client.request(method, path, headers={"Authorization": "Basic x"}),
    "a page is preferred": lambda client, method, path: client.request(method, path, headers={"Accept": "text/html"}),
    "an id of its own": lambda client, method, path: client.request(method, path, headers={"X-Request-ID": "mine"}),
}


def complete(answer: httpx.Response) -> httpx.Response:
    """Has what every answer has, each once; a stream may say of caches what streams must."""
    told = [name.lower() for name, _ in answer.headers.multi_items()]
    what = (str(answer.request), answer.status_code, answer.headers)
    for name in ("x-request-id", "x-content-type-options", "cache-control"):
        assert told.count(name) == 1, (name, what)
    assert answer.headers["X-Content-Type-Options"] == "nosniff", what
    streams = answer.headers.get("Content-Type", "").startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == ("no-cache, no-transform" if streams else "no-store"), what
    again = answer.headers.get_list("Retry-After")
    assert len(again) == (answer.status_code in {429, 503}), what
    assert all(seconds.isdigit() and int(seconds) > 0 for seconds in again), what
    if answer.status_code >= 400 and answer.request.method != "HEAD" and answer.request.url.path != "/health/ready":
        if answer.request.url.path.startswith("/v1"):
            assert answer.headers["Content-Type"] == "application/json", what
            assert answer.json()["error"].keys() == {"message", "type", "param", "code"}, what
        elif answer.request.url.path.startswith("/api/ai-sdk"):
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8", what
            assert answer.text, what
        else:
            ag_ui = answer.request.url.path.startswith("/api/ag-ui")
            form = "application/json" if ag_ui else "application/problem+json"
            assert answer.headers["Content-Type"] == form, what
            assert answer.json()["request_id"] == answer.headers["X-Request-ID"], what
    return answer


@cache
def routes() -> list[tuple[str, str]]:
    document: dict[str, Any] = create_app(Container(settings=Settings(secret_key=SECRET_KEY))).openapi()
    return [(method.upper(), path) for path, item in document["paths"].items() for method in item] + HIDDEN


IDS = {
    "session_id": "cks_x",
    "thread_id": "thr_x",
    "run_id": "run_x",
    "message_id": "msg_x",
    "response_id": "resp_x",
    "conversation_id": "conv_x",
    "item_id": "msg_x",
    "id": "x",
    "model": "x",
}


async def walk(client: httpx.AsyncClient, kinds: dict[str, Ask], **ids: str) -> set[int]:
    """Asks each route in each of these ways; returns which statuses came of it."""
    seen = set()
    for method, path in routes():
        for ask_so in kinds.values():
            there = path.format(**{**IDS, **ids})
            seen.add(complete(await ask_so(client, method, there)).status_code)
    return seen


async def whole(apis: Apis, **arguments: Any) -> Api:
    swapped = {"chatkit": FakeChatKit(SystemClock()), **arguments.pop("swapped", {})}
    return await apis.start(swapped=swapped, body_cap_bytes=CAP, cors_origins=ORIGIN, **SETTINGS, **arguments)


async def test_a_strangers(apis: Apis) -> None:
    api = await whole(apis)
    assert await walk(api.anonymous(), KINDS) >= {200, 400, 401, 404, 405, 413, 422, 426}


async def test_a_users(apis: Apis) -> None:
    api = await whole(apis)
    alice = await api.user("alice")
    there = {name: value for name, value in (await ask(alice)).items() if name in {"thread_id", "run_id"}}
    kinds = {name: kind for name, kind in KINDS.items() if "preflight" not in name}
    assert await walk(alice, kinds, **there) >= {200, 202, 404, 405, 413, 415, 422}


async def test_where_the_store_is_away(apis: Apis) -> None:
    store = MemoryStore()
    api = await whole(apis, swapped=in_memory(store))
    alice = await api.user("alice")
    store.available = False
    api.container.identify()._known.clear()
    assert await walk(alice, {"plain": KINDS["plain"]}) >= {200, 503}
    complete(await alice.post("/token", data=credentials("alice")))


async def test_streams_conflicts_and_the_end_of_one(api: Api) -> None:
    alice = await api.user("alice")
    for body in (said(stream=True), said()):
        run = complete(await alice.post(CHAT, json=body))
    where = f"/api/runs/{run.json()['run_id']}/events"
    assert complete(await alice.get(where)).headers["Content-Type"].startswith("text/event-stream")
    assert complete(await alice.get(where, params={"after": str(2**62)})).status_code == 204
    async with live_run(api, alice) as live:
        thread_id = (await alice.get(f"/api/runs/{live.id}")).json()["thread_id"]
        assert complete(await alice.post(CHAT, json=said(thread_id=thread_id))).status_code == 409


async def test_too_many_of_everything(apis: Apis) -> None:
    api = await whole(
        apis,
        anonymous_chat=True,
        guest_requests_per_minute=1,
        wrong_passwords_per_user=1,
        max_live_runs_per_user=1,
    )
    alice, stranger = await api.user("alice"), api.anonymous()
    guests = [complete(await stranger.post("/api/chat", json=said())).status_code for _ in range(2)]
    assert guests == [200, 429]
    async with live_run(api, alice):
        assert complete(await alice.post(CHAT, json=said())).status_code == 429
    wrong = [complete(await stranger.post("/token", data=credentials("alice", "x"))).status_code for _ in range(4)]
    assert wrong[0] == 401
    assert wrong[-1] == 429


async def test_while_it_drains(apis: Apis) -> None:
    api = await whole(apis)
    alice = await api.user("alice")
    await api.container.executor().drain(0)
    assert complete(await alice.post(CHAT, json=said())).status_code == 503
    assert complete(await alice.get("/health/ready")).status_code == 503


@pytest.mark.parametrize("token", ["", "wrong", "right"])
async def test_the_metrics(apis: Apis, token: str) -> None:
    api = await whole(apis, metrics_token="right")
    client = api.anonymous(**({"Authorization": f"Bearer {token}"} if token else {}))
    for accept in ("*/*", "application/json"):
        answers = [complete(await client.request(m, "/metrics", headers={"Accept": accept})) for m in ("GET", "HEAD")]
        assert [answer.status_code for answer in answers] == [200 if token == "right" else 401] * 2
        assert json.dumps(answers[1].text) == '""'
