"""Who may ask for what, and how much at once."""

import httpx
import pytest

from chatorch.entrypoints.settings import Settings
from tests.support.api import MODEL, Api, Apis, ask, live_run, problem_of, said

CHAT = "/api/chat/protected"


async def test_a_user_id_beside_a_token_must_be_the_tokens_own(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    own = (await alice.get("/api/me")).json()["user_id"]
    other = (await bob.get("/api/me")).json()["user_id"]
    assert (await ask(alice, user_id=own))["response"] == "Hello world"
    for path in (CHAT, "/api/chat"):
        for user_id in (other, "alice", own.upper()):
            problem_of(await alice.post(path, json=said(user_id=user_id)), 403, "user_mismatch")


async def test_only_the_operators_model_is_allowed_by_default(alice: httpx.AsyncClient) -> None:
    assert (await ask(alice, model=MODEL))["model"] == MODEL
    answer = await alice.post(CHAT, json=said(model="another"))
    body = problem_of(answer, 422, "model_not_allowed", "errors")
    assert body["errors"][0]["field"] == "model"


@pytest.mark.parametrize(
    ("allowed", "wanted", "status"),
    [
        ("b,c", "b", 200),
        ("b,c", "c", 200),
        ("b,c", MODEL, 200),
        ("b,c", "B", 422),
        ("b,c", "*", 422),
        ("*", "any", 200),
    ],
)
async def test_the_operator_may_allow_more_models(apis: Apis, allowed: str, wanted: str, status: int) -> None:
    api = await apis.start(allowed_models=allowed)
    alice = await api.user("alice")
    assert (await alice.post(CHAT, json=said(model=wanted))).status_code == status
    assert [call.prompt.model for call in api.model.calls] == ([wanted] if status == 200 else [])


async def test_a_thread_that_has_a_live_run_is_busy_and_says_with_which(api: Api, alice: httpx.AsyncClient) -> None:
    thread = (await ask(alice))["thread_id"]
    async with live_run(api, alice, thread_id=thread) as run:
        for stream in (False, True):
            answer = await alice.post(CHAT, json=said(thread_id=thread, stream=stream))
            assert problem_of(answer, 409, "thread_busy", "run_id")["run_id"] == run.id
        assert (await ask(alice))["thread_id"] != thread
        await run.end()
    assert (await ask(alice, thread_id=thread))["thread_id"] == thread
    assert len((await alice.get(f"/api/threads/{thread}/messages")).json()["data"]) == 6


async def test_a_user_may_have_eight_live_runs_unless_the_operator_says_otherwise() -> None:
    assert Settings(secret_key="x" * 32).max_live_runs_per_user == 8


async def test_more_live_runs_at_once_than_allowed_are_refused_and_nobody_elses_count(apis: Apis) -> None:
    api = await apis.start(max_live_runs_per_user=2)
    alice, bob = await api.user("alice"), await api.user("bob")
    async with live_run(api, alice), live_run(api, alice) as second:
        for stream in (False, True):
            problem_of(await alice.post(CHAT, json=said(stream=stream)), 429, "too_many_runs")
        assert len((await alice.get("/api/threads")).json()["data"]) == 2
        await ask(bob)
        await second.end()
        await ask(alice)


async def test_a_thread_that_does_not_exist_is_not_found(api: Api, alice: httpx.AsyncClient) -> None:
    problem_of(await alice.post(CHAT, json=said(thread_id="thr_nowhere")), 404, "not_found")
    assert api.model.calls == []


async def test_without_a_token_nothing_is_said(api: Api) -> None:
    for path in (CHAT, "/api/chat"):
        answer = await api.anonymous().post(path, json=said(user_id="me"))
        problem_of(answer, 401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert api.model.calls == []


async def test_a_process_that_is_stopping_starts_nothing_new(api: Api, alice: httpx.AsyncClient) -> None:
    await api.container.executor().drain(0.01)
    answer = await alice.post(CHAT, json=said())
    problem_of(answer, 503, "draining")
    assert answer.headers["Retry-After"] == "1"
