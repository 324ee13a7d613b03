"""Runs: how one stands, and stopping it."""

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamTimeout
from tests.support.api import MODEL, Api, ask, done, frames_of, is_time, live_run, newest_run, problem_of, said

MEMBERS = {
    "id",
    "thread_id",
    "message_id",
    "status",
    "model",
    "created_at",
    "finished_at",
    "finish_reason",
    "usage",
    "error",
    "text",
    "parts",
}


async def read(client: httpx.AsyncClient, run_id: str) -> dict:
    answer = await client.get(f"/api/runs/{run_id}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body = answer.json()
    assert body.keys() == MEMBERS
    return body


async def test_a_completed_run_tells_all_there_is(alice: httpx.AsyncClient) -> None:
    answer = await ask(alice)
    run = await read(alice, answer["run_id"])
    assert is_time(run.pop("created_at"))
    assert is_time(run.pop("finished_at"))
    assert run == {
        "id": answer["run_id"],
        "thread_id": answer["thread_id"],
        "message_id": answer["message_id"],
        "status": "completed",
        "model": MODEL,
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "source": "provider",
        },
        "error": None,
        "text": "Hello world",
        "parts": [{"type": "text", "text": "Hello world"}],
    }


@pytest.mark.parametrize(("said_so_far", "status"), [((), "queued"), (("Hel", "lo"), "streaming")])
async def test_a_live_run_shows_its_text_so_far(
    api: Api, alice: httpx.AsyncClient, said_so_far: tuple[str, ...], status: str
) -> None:
    async with live_run(api, alice, *said_so_far) as live:
        run = await read(alice, live.id)
        assert (run["status"], run["text"]) == (status, "".join(said_so_far))
        assert [run[name] for name in ("finished_at", "finish_reason", "usage", "error")] == [None] * 4
        await live.end()
    assert (await read(alice, live.id))["status"] == "completed"


async def test_a_failed_run_says_why_and_keeps_its_text(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("half", UpstreamTimeout())
    await alice.post("/api/chat/protected", json=said())
    run = await read(alice, await newest_run(alice))
    assert (run["status"], run["text"], run["finish_reason"]) == ("failed", "half", None)
    assert run["error"] == {"code": "upstream_timeout", "detail": UpstreamTimeout.default_detail}
    assert run["usage"]["source"] == "estimated"


async def test_cancelling_stops_the_model_and_tells_who_follows(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "half", stream=True) as live:
        answer = await alice.post(f"/api/runs/{live.id}/cancel")
        assert (answer.status_code, answer.content) == (202, b"")
        await api.model.calls[-1].until_closed()
        last = frames_of((await done(live.response)).text)[-1]
    assert (last.event, last.data.keys()) == ("run.cancelled", {"run_id", "seq", "type", "reason"})
    assert last.data["reason"] == "user"
    run = await read(alice, live.id)
    assert (run["status"], run["text"], run["error"]) == ("cancelled", "half", None)


async def test_cancelling_again_or_too_late_changes_nothing(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "half") as live:
        for _ in range(2):
            assert (await alice.post(f"/api/runs/{live.id}/cancel")).status_code == 202
        await done(live.response)
    ended = await read(alice, live.id)
    assert (await alice.post(f"/api/runs/{live.id}/cancel")).status_code == 202
    assert await read(alice, live.id) == ended
    completed = (await ask(alice))["run_id"]
    assert (await alice.post(f"/api/runs/{completed}/cancel")).status_code == 202
    assert (await read(alice, completed))["status"] == "completed"


async def test_what_there_is_not_is_not_found(alice: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
        problem_of(await alice.request(method, f"/api/runs/run_nowhere{path}"), 404, "not_found")
