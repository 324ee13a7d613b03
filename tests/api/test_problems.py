"""What holds for every route: problems, request ids, limits of the body, a store that is away."""

from collections.abc import AsyncIterator

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.memory.threads import MemoryThreadStore
from chatorch.domain.model.conversation import ThreadId
from chatorch.domain.model.identity import UserId
from tests.support.api import Api, Apis, ask, frames_of, in_memory, problem_of, refused, said
from tests.support.logged import logged
from tests.support.operations import PUBLIC, operations

CHAT = "/api/chat/protected"
AG_UI = {"threadId": "x", "runId": "x", "messages": [{"id": "x", "role": "user", "content": "Hi"}]}
BODIES: dict[str, dict[str, object]] = {
    "POST /api/ai-sdk": {"id": "x", "message": {"role": "user", "parts": [{"type": "text", "text": "Hi"}]}},
    "POST /api/ag-ui": AG_UI,
    "POST /api/ag-ui/connect": AG_UI,
    "POST /v1/chat/completions": {"model": "a-model"},
}
"""What an operation wants beside messages."""
MIB = 1024 * 1024


def padded(size: int) -> bytes:
    """A chat request of so many bytes."""
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    return b" " * (size - len(body)) + body


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


async def test_every_operation_but_the_public_ones_wants_a_token(api: Api) -> None:
    asked = 0
    for operation in operations(api.app):
        answer = await operation.send(api.anonymous(), body={})
        if operation.name in PUBLIC:
            assert answer.status_code in {200, 422}
        else:
            refused(answer, 401, "not_authenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            asked += 1
    assert asked >= 12


async def test_every_operation_says_503_and_never_401_while_the_store_is_away(
    memory_api: Api, store: MemoryStore
) -> None:
    alice = await memory_api.user("alice")
    store.available = False
    for operation in operations(memory_api.app):
        if operation.name in PUBLIC:
            continue
        answer = await operation.send(alice, body=said() | BODIES.get(operation.name, {}))
        refused(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("offered", [None, "sane-1.2_3"])
async def test_every_answer_has_a_request_id_and_takes_over_a_sane_one(
    api: Api, alice: httpx.AsyncClient, offered: str | None
) -> None:
    headers = {"X-Request-ID": offered} if offered else {}
    run = await ask(alice)
    events = f"/api/runs/{run['run_id']}/events"
    requests = [
        ("GET", "/health", {}, 200),
        ("POST", CHAT, {"json": said(stream=True)}, 200),
        ("POST", f"/api/runs/{run['run_id']}/cancel", {}, 202),
        ("GET", f"{events}?after=100", {}, 204),
        ("DELETE", f"/api/threads/{run['thread_id']}", {}, 204),
        ("GET", "/api/me", {"headers": {"Authorization": ""}}, 401),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/api/me", {}, 405),
        ("POST", CHAT, {"content": b"x" * (MIB + 1)}, 413),
        ("POST", CHAT, {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", CHAT, {"json": {}}, 422),
    ]
    seen = set()
    for method, path, how, status in requests:
        given = {**how, "headers": {**headers, **how.get("headers", {})}}
        answer = await alice.request(method, path, **given)
        assert (answer.status_code, len(answer.headers.get_list("X-Request-ID"))) == (status, 1)
        seen.add(answer.headers["X-Request-ID"])
    assert seen == {offered} if offered else len(seen) == len(requests)


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "\x1b[31m", "é", "a\tb"])
async def test_any_other_request_id_is_replaced(api: Api, offered: str) -> None:
    answer = await api.anonymous().get("/health", headers={"X-Request-ID": offered.encode()})
    assert answer.headers["X-Request-ID"] not in {"", offered}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_a_mebibyte_and_not_a_byte_more(alice: httpx.AsyncClient, chunked: bool) -> None:
    for size, status in ((MIB, 200), (MIB + 1, 413)):
        body = padded(size)
        answer = await alice.post(
            CHAT, content=in_pieces(body) if chunked else body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == status
    problem_of(answer, 413, "content_too_large")


async def test_the_form_has_the_same_cap(api: Api) -> None:
    answer = await api.anonymous().post("/token", data={"grant_type": "password", "username": "x" * MIB})
    problem_of(answer, 413, "content_too_large")


async def test_a_422_names_the_field_and_never_repeats_the_input(alice: httpx.AsyncClient) -> None:
    canary = "canary-4711"
    message = {"role": canary, "content": canary, canary: canary}
    answer = await alice.post(CHAT, json={"messages": [message], "model": [canary], canary: canary})
    body = problem_of(answer, 422, "invalid_request", "errors")
    assert {tuple(error) for error in body["errors"]} == {("field", "problem")}
    assert {"messages.0.role", "model", "*"} <= {error["field"] for error in body["errors"]}
    assert canary not in answer.text


class BrokenThreads(MemoryThreadStore):
    """Fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        """Over nothing at all."""

    async def read_thread(self, owner_id: UserId, thread_id: ThreadId) -> None:  # type: ignore[override]
        raise RuntimeError(f"the secret of {thread_id}")


@pytest.mark.parametrize(("debug", "detail"), [(False, "An error occurred"), (True, "the secret of thr_1")])
async def test_an_error_that_nobody_foresaw_tells_nothing_unless_debug(
    apis: Apis, store: MemoryStore, debug: bool, detail: str
) -> None:
    swapped = {**in_memory(store), "threads": BrokenThreads()}
    api = await apis.start(database_url="sqlite:///nowhere.db", swapped=swapped, debug=debug)
    alice = await api.user("alice")
    with logged() as out:
        body = problem_of(await alice.get("/api/threads/thr_1"), 500, "internal_error")
    assert body["detail"] == detail
    assert "the secret" not in out.text
    assert len(out.named("request_failed")) == 1


async def test_times_and_text_are_the_same_in_every_view(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(CHAT, json=said(stream=True))
    run_id = frames_of(answer.text)[0].data["run_id"]
    run = (await alice.get(f"/api/runs/{run_id}")).json()
    stored = (await alice.get(f"/api/threads/{run['thread_id']}/messages")).json()["data"][-1]
    assert run["text"] == stored["content"] == "Hello world"
