"""Answering the same message once more."""

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamRateLimited, UpstreamTimeout
from tests.support.api import Api, Apis, ask, frames_of, live_run, newest_run, problem_of, said


async def history(client: httpx.AsyncClient, thread_id: str) -> list[tuple[str, str]]:
    listed = await client.get(f"/api/threads/{thread_id}/messages")
    return [(message["role"], message["content"]) for message in listed.json()["data"]]


async def test_a_retry_is_a_new_run_for_the_same_message_answered_like_a_chat(
    api: Api, alice: httpx.AsyncClient
) -> None:
    first = await ask(alice, "Hi")
    api.model.then("Another")
    answer = await alice.post(f"/api/runs/{first['run_id']}/retry")
    assert answer.status_code == 200
    second = answer.json()
    assert second.keys() == first.keys()
    assert (second["response"], second["thread_id"]) == ("Another", first["thread_id"])
    assert second["run_id"] != first["run_id"]
    assert second["message_id"] != first["message_id"]
    assert [message.content for message in api.model.calls[-1].prompt.messages] == ["Hi"]
    assert await history(alice, first["thread_id"]) == [("user", "Hi"), ("assistant", "Another")]


async def test_the_messages_after_it_leave_the_history(api: Api, alice: httpx.AsyncClient) -> None:
    first = await ask(alice, "One")
    thread = first["thread_id"]
    later = await ask(alice, "Two", thread_id=thread)
    api.model.then("Another")
    await alice.post(f"/api/runs/{first['run_id']}/retry")
    assert await history(alice, thread) == [("user", "One"), ("assistant", "Another")]
    await ask(alice, "Three", thread_id=thread)
    assert [message.content for message in api.model.calls[-1].prompt.messages] == ["One", "Another", "Three"]
    problem_of(await alice.post(f"/api/runs/{later['run_id']}/retry"), 409, "run_superseded")


async def test_a_run_that_was_retried_can_still_be_read(alice: httpx.AsyncClient) -> None:
    first = await ask(alice)
    before = (await alice.get(f"/api/runs/{first['run_id']}")).json()
    await alice.post(f"/api/runs/{first['run_id']}/retry")
    assert (await alice.get(f"/api/runs/{first['run_id']}")).json() == before


@pytest.mark.parametrize("how", [{"json": {"stream": True}}, {"headers": {"Accept": "text/event-stream"}}])
async def test_a_retry_can_be_streamed(alice: httpx.AsyncClient, how: dict) -> None:
    first = await ask(alice)
    answer = await alice.post(f"/api/runs/{first['run_id']}/retry", **how)
    frames = frames_of(answer.text)
    assert answer.headers["Content-Location"] == f"/api/runs/{frames[0].data['run_id']}/events"
    assert [frame.event for frame in frames][0::2] == ["run.started", "run.completed"]


async def test_a_failed_run_can_be_retried(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("half", UpstreamTimeout())
    await alice.post("/api/chat/protected", json=said("Hi"))
    answer = await alice.post(f"/api/runs/{await newest_run(alice)}/retry")
    assert answer.json()["response"] == "Hello world"
    assert await history(alice, answer.json()["thread_id"]) == [("user", "Hi"), ("assistant", "Hello world")]


async def test_a_failed_retry_is_a_problem_that_names_its_run(api: Api, alice: httpx.AsyncClient) -> None:
    first = await ask(alice)
    api.model.then(UpstreamRateLimited(retry_after=3))
    answer = await alice.post(f"/api/runs/{first['run_id']}/retry")
    assert problem_of(answer, 503, "upstream_rate_limited", "run_id")["run_id"] != first["run_id"]
    assert answer.headers["Retry-After"] == "3"


async def test_a_run_that_is_live_cannot_be_retried(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice) as live:
        answer = await alice.post(f"/api/runs/{live.id}/retry")
        assert problem_of(answer, 409, "thread_busy", "run_id")["run_id"] == live.id


async def test_a_retry_may_ask_for_another_model_that_is_allowed(apis: Apis) -> None:
    api = await apis.start(allowed_models="other")
    alice = await api.user("alice")
    run = (await ask(alice))["run_id"]
    answer = await alice.post(f"/api/runs/{run}/retry", json={"model": "other"})
    assert (answer.json()["model"], api.model.calls[-1].prompt.model) == ("other", "other")
    run = answer.json()["run_id"]
    problem_of(await alice.post(f"/api/runs/{run}/retry", json={"model": "x"}), 422, "model_not_allowed", "errors")


@pytest.mark.parametrize("body", [{"unknown": 1}, {"stream": "yes"}, [], "x"])
async def test_what_is_no_retry_is_refused(alice: httpx.AsyncClient, body: object) -> None:
    run = (await ask(alice))["run_id"]
    problem_of(await alice.post(f"/api/runs/{run}/retry", json=body), 422, "invalid_request", "errors")


async def test_a_retry_with_the_same_key_joins_and_does_not_answer_again(api: Api, alice: httpx.AsyncClient) -> None:
    run = (await ask(alice))["run_id"]
    key = {"Idempotency-Key": "once"}
    first = await alice.post(f"/api/runs/{run}/retry", headers=key)
    again = await alice.post(f"/api/runs/{run}/retry", headers=key)
    assert (again.json()["run_id"], len(api.model.calls)) == (first.json()["run_id"], 2)
    other = await alice.post(f"/api/runs/{first.json()['run_id']}/retry", headers=key)
    problem_of(other, 422, "idempotency_key_reused", "errors")
