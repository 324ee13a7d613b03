"""What a caller hears when the model fails: a problem with the run's id, or `run.failed` where it streams."""

import httpx
import pytest

from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamModelUnknown,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnusable,
)
from chatorch.entrypoints.settings import Settings
from tests.support.api import Api, asking, done, frames_of, live_run, newest_run, problem_of, said
from tests.support.fakes import Pause

CHAT = "/api/chat/protected"

FAILURES = [
    (UpstreamError(), 502, "upstream_error", None),
    (UpstreamRejected(), 502, "upstream_rejected", None),
    (UpstreamUnusable(), 502, "upstream_rejected", None),
    (UpstreamModelUnknown(), 502, "upstream_rejected", None),
    (UpstreamAuthFailed(), 502, "upstream_auth", None),
    (UpstreamInvalid(), 502, "upstream_invalid", None),
    (UpstreamRateLimited(retry_after=6.2), 503, "upstream_rate_limited", "7"),
    (UpstreamUnavailable(), 503, "upstream_unavailable", "1"),
    (UpstreamTimeout(), 504, "upstream_timeout", None),
    (RuntimeError("a bug"), 500, "internal_error", None),
]


@pytest.mark.parametrize(("failure", "status", "code", "retry_after"), FAILURES)
@pytest.mark.parametrize("before", [(), ("half of ", "it")])
async def test_a_failed_model_is_a_problem_that_names_the_run(
    api: Api,
    alice: httpx.AsyncClient,
    failure: Exception,
    status: int,
    code: str,
    retry_after: str | None,
    before: tuple[str, ...],
) -> None:
    api.model.then(*before, failure)
    answer = await alice.post(CHAT, json=said())
    body = problem_of(answer, status, code, "run_id")
    assert answer.headers.get("Retry-After") == retry_after
    run = (await alice.get(f"/api/runs/{body['run_id']}")).json()
    assert (run["status"], run["text"]) == ("failed", "".join(before))
    assert run["error"] == {"code": code, "detail": body["detail"]}
    assert "a bug" not in answer.text


@pytest.mark.parametrize(("failure", "status", "code", "retry_after"), FAILURES)
async def test_a_stream_begins_well_and_the_failure_is_its_last_event(
    api: Api, alice: httpx.AsyncClient, failure: Exception, status: int, code: str, retry_after: str | None
) -> None:
    api.model.then("half", failure)
    answer = await alice.post(CHAT, json=said(stream=True))
    assert answer.status_code == 200
    frames = frames_of(answer.text)
    assert [frame.event for frame in frames] == ["run.started", "message.delta", "run.failed"]
    assert frames[-1].data.keys() == {"run_id", "seq", "type", "code", "detail", "retryable"}
    assert frames[-1].data["code"] == code
    assert frames[-1].data["retryable"] is getattr(failure, "retryable", True)


async def test_a_partial_answer_is_kept_as_incomplete(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("half", UpstreamUnavailable())
    await alice.post(CHAT, json=said())
    thread = (await alice.get("/api/threads")).json()["data"][0]["id"]
    answer = (await alice.get(f"/api/threads/{thread}/messages")).json()["data"][-1]
    assert (answer["role"], answer["content"], answer["status"]) == ("assistant", "half", "incomplete")


async def test_who_waits_for_json_hears_that_the_run_was_cancelled(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "half") as run:
        assert (await alice.post(f"/api/runs/{run.id}/cancel")).status_code == 202
        body = problem_of(await done(run.response), 409, "run_cancelled", "run_id")
    assert body["run_id"] == run.id
    assert "user" in body["detail"]


async def test_who_waits_for_json_hears_that_the_run_was_interrupted(api: Api, alice: httpx.AsyncClient) -> None:
    execution_store, clock = api.container.execution_store(), api.container.clock()
    async with live_run(api, alice, "half") as run:
        await execution_store.interrupt(await execution_store.live_runs(), clock.now())
        answer = await run.end()
    body = problem_of(answer, 503, "run_interrupted", "run_id")
    assert (body["run_id"], answer.headers["Retry-After"]) == (run.id, "1")


async def test_a_process_that_stops_cancels_what_is_left_and_says_why(api: Api, alice: httpx.AsyncClient) -> None:
    pause = Pause()
    api.model.then("half", pause)
    async with asking(alice, stream=True) as response:
        await pause.reached()
        run_id = await newest_run(alice)
        await api.container.executor().drain(0.01)
        last = frames_of((await done(response)).text)[-1]
    assert (last.event, last.data["reason"], last.data["run_id"]) == ("run.cancelled", "shutdown", run_id)


def test_our_deadlines_are_60_30_and_600_seconds_unless_the_operator_says_otherwise() -> None:
    usual = Settings(secret_key="x" * 32)
    assert (usual.first_piece_timeout_s, usual.idle_timeout_s, usual.total_timeout_s) == (60, 30, 600)
