"""``Idempotency-Key``: the same request twice is done once."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.upstream_errors import UpstreamInvalid, UpstreamRateLimited
from tests.support.api import Api, Apis, frames_of, in_memory, live_run, problem_of, said
from tests.support.fakes import FakeClock

CHAT = "/api/chat/protected"
KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


async def test_the_same_again_joins_the_same_run(api: Api, alice: httpx.AsyncClient) -> None:
    first = await alice.post(CHAT, json=said(), headers=KEY)
    again = await alice.post(CHAT, json=said(), headers=KEY)
    assert again.status_code == 200
    assert {**again.json(), "timestamp": None} == {**first.json(), "timestamp": None}
    assert len(api.model.calls) == 1
    assert len((await alice.get("/api/threads")).json()["data"]) == 1


async def test_many_at_once_are_one_run(api: Api, alice: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(alice.post(CHAT, json=said(), headers=KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(api.model.calls) == 1


async def test_a_live_run_is_joined_in_the_middle_and_by_another_view(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "half", headers=KEY) as live:
        joined = asyncio.ensure_future(alice.post(CHAT, json=said(stream=True), headers=KEY))
        await asyncio.sleep(0)
        first = (await live.end()).json()
        frames = frames_of((await joined).text)
    assert first["run_id"] == frames[0].data["run_id"] == live.id
    assert [frame.event for frame in frames] == ["run.started", "message.delta", "run.completed"]
    assert len(api.model.calls) == 1


async def test_a_key_is_its_owners(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    first = await alice.post(CHAT, json=said(), headers=KEY)
    other = await bob.post(CHAT, json=said("Something else"), headers=KEY)
    assert other.status_code == 200
    assert other.json()["run_id"] != first.json()["run_id"]


@pytest.mark.parametrize(
    "body",
    [
        said("Something else"),
        said("Hi", "Hi"),
        said(thread_id="thr_nowhere"),
        {"messages": [{"role": "user", "content": "Hi", "metadata": {"a": 1}}]},
        {"messages": [{"role": "user", "content": "Hi", "timestamp": "now"}]},
    ],
)
async def test_with_another_body_it_is_a_mistake(api: Api, alice: httpx.AsyncClient, body: dict) -> None:
    await alice.post(CHAT, json=said(), headers=KEY)
    answer = await alice.post(CHAT, json=body, headers=KEY)
    if "thread_id" in body:
        problem_of(answer, 404, "not_found")
    else:
        problem_of(answer, 422, "idempotency_key_reused", "errors")
    assert len(api.model.calls) == 1


async def test_a_run_that_failed_fails_again_without_asking_the_model(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("half", UpstreamInvalid())
    first = problem_of(await alice.post(CHAT, json=said(), headers=KEY), 502, "upstream_invalid", "run_id")
    again = problem_of(await alice.post(CHAT, json=said(), headers=KEY), 502, "upstream_invalid", "run_id")
    assert (again["run_id"], len(api.model.calls)) == (first["run_id"], 1)


async def test_a_run_that_failed_for_a_while_is_not_to_be_awaited_under_the_same_key(
    api: Api, alice: httpx.AsyncClient
) -> None:
    api.model.then(UpstreamRateLimited(retry_after=7))
    first = await alice.post(CHAT, json=said(), headers=KEY)
    assert (first.status_code, first.headers["Retry-After"]) == (503, "7")
    again = await alice.post(CHAT, json=said(), headers=KEY)
    problem = problem_of(again, 503, "upstream_rate_limited", "run_id")
    assert int(again.headers["Retry-After"]) == 24 * 60 * 60, "when the key is forgotten"
    assert "/retry asks the model again" in problem["detail"]
    assert (await alice.post(f"/api/runs/{problem['run_id']}/retry")).status_code == 200


async def test_it_may_be_streamed_the_second_time(alice: httpx.AsyncClient) -> None:
    first = await alice.post(CHAT, json=said(), headers=KEY)
    again = await alice.post(CHAT, json=said(stream=True), headers=KEY)
    assert frames_of(again.text)[0].data["run_id"] == first.json()["run_id"]
    assert again.headers["Content-Location"] == f"/api/runs/{first.json()['run_id']}/events"


async def test_a_request_that_was_refused_has_not_used_its_key(alice: httpx.AsyncClient) -> None:
    problem_of(await alice.post(CHAT, json=said(thread_id="thr_nowhere"), headers=KEY), 404, "not_found")
    assert (await alice.post(CHAT, json=said(), headers=KEY)).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "\x1b[31m", "é"])
async def test_what_is_no_key_is_refused(alice: httpx.AsyncClient, key: str) -> None:
    answer = await alice.post(CHAT, json=said(), headers={"Idempotency-Key": key.encode()})
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "Idempotency-Key"


async def test_a_key_is_kept_for_a_day(apis: Apis, store: MemoryStore) -> None:
    clock = FakeClock()
    swapped = {**in_memory(store), "clock": clock}
    api = await apis.start(database_url="sqlite:///nowhere.db", swapped=swapped, access_token_life_s=100_000)
    alice = await api.user("alice")
    first = (await alice.post(CHAT, json=said(), headers=KEY)).json()["run_id"]
    clock.wall_offset = timedelta(hours=24, seconds=-1)
    assert (await alice.post(CHAT, json=said(), headers=KEY)).json()["run_id"] == first
    clock.wall_offset = timedelta(hours=24, seconds=1)
    answer = await alice.post(CHAT, json=said("Something else"), headers=KEY)
    assert answer.status_code == 200
    assert answer.json()["run_id"] != first
