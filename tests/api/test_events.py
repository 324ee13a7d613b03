"""A run as server-sent events: their shape to the byte, and going on from any position."""

import asyncio
import time

import httpx
import pytest

from chatorch.adapters.memory.run_log import SILENCE_S, MemoryRunLog
from chatorch.domain.model.upstream_errors import UpstreamTimeout
from chatorch.entrypoints.common import sse
from tests.support.api import MODEL, Api, Apis, Frame, ask, frames_of, live_run, problem_of, said
from tests.support.eventually import eventually
from tests.support.sizes import size

CHAT = "/api/chat/protected"


def shown(frames: list[Frame]) -> str:
    return "".join(frame.data["text"] for frame in frames if frame.event == "message.delta")


async def events(client: httpx.AsyncClient, run_id: str, **headers: str) -> httpx.Response:
    async with asyncio.timeout(5):
        return await client.get(f"/api/runs/{run_id}/events", headers=headers)


async def test_a_stream_is_these_bytes(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("Grüße\n😀")
    answer = await alice.post(CHAT, json=said(stream=True))
    assert answer.status_code == 200
    run = answer.headers["Content-Location"].split("/")[3]
    stored = (await alice.get(f"/api/runs/{run}")).json()
    thread, message = stored["thread_id"], stored["message_id"]
    expected = (
        f'id: 1\nevent: run.started\ndata: {{"run_id":"{run}","seq":1,"type":"run.started",'
        f'"thread_id":"{thread}","message_id":"{message}","model":"{MODEL}"}}\n\n'
        f'id: 8\nevent: message.delta\ndata: {{"run_id":"{run}","seq":8,"type":"message.delta",'
        f'"text":"Grüße\\n😀"}}\n\n'
        f'id: 9\nevent: run.completed\ndata: {{"run_id":"{run}","seq":9,"type":"run.completed",'
        f'"message_id":"{message}","finish_reason":"stop",'
        '"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,'
        '"cached_tokens":0,"reasoning_tokens":0,"source":"provider"}}\n\n'
    )
    assert answer.content.decode() == expected


@pytest.mark.parametrize("how", ["stream", "accept", "follow"])
async def test_a_stream_has_these_headers(alice: httpx.AsyncClient, how: str) -> None:
    if how == "stream":
        answer = await alice.post(CHAT, json=said(stream=True))
    elif how == "accept":
        answer = await alice.post(CHAT, json=said(), headers={"Accept": "text/event-stream"})
    else:
        answer = await events(alice, (await ask(alice))["run_id"])
    run_id = frames_of(answer.text)[0].data["run_id"]
    assert answer.headers["Content-Type"].partition(";")[0] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Content-Location"] == f"/api/runs/{run_id}/events"
    assert answer.headers["X-Request-ID"]


async def test_positions_rise_by_what_was_said(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("a", "😀", "ccc", "\r\n")
    frames = frames_of((await alice.post(CHAT, json=said(stream=True))).text)
    position = 0
    for frame in frames:
        position += len(frame.data["text"]) if frame.event == "message.delta" else 1
        assert frame.id == position
    assert shown(frames) == "a😀ccc\r\n"
    assert len({frame.data["run_id"] for frame in frames}) == 1


async def test_from_every_position_the_rest_comes_exactly(api: Api, alice: httpx.AsyncClient) -> None:
    text = "Grüße, 😀 world"
    api.model.then(*text)
    run_id = (await ask(alice))["run_id"]
    end = len(text) + 2
    for position in range(end):
        answer = await events(alice, run_id, **{"Last-Event-ID": str(position)})
        frames = frames_of(answer.text)
        assert text[: max(position - 1, 0)] + shown(frames) == text
        assert (frames[0].event == "run.started") is (position == 0)
        assert (frames[-1].event, frames[-1].id) == ("run.completed", end)
    for position in (end, end + 1, 2**62):
        answer = await events(alice, run_id, **{"Last-Event-ID": str(position)})
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["X-Request-ID"]


async def test_a_live_run_is_replayed_and_then_followed(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "Hello", " wor") as live:
        followers = [
            asyncio.ensure_future(events(alice, live.id, **{"Last-Event-ID": str(position)})) for position in range(11)
        ]
        await asyncio.sleep(0)
        await live.end()
        for position, follower in enumerate(followers):
            frames = frames_of((await follower).text)
            assert "Hello wor"[: max(position - 1, 0)] + shown(frames) == "Hello wor"
            assert frames[-1].event == "run.completed"


async def test_who_is_ahead_of_the_text_gets_all_of_it_to_replace_what_it_has(
    api: Api, alice: httpx.AsyncClient
) -> None:
    api.model.then("half", UpstreamTimeout())
    await alice.post(CHAT, json=said())
    async with live_run(api, alice, "short") as live:
        execution_store, clock = api.container.execution_store(), api.container.clock()
        await api.container.executor().checkpoint()
        await execution_store.interrupt(await execution_store.live_runs(), clock.now())
        await live.end()
        frames = frames_of((await events(alice, live.id, **{"Last-Event-ID": "1000"})).text)
    assert [frame.event for frame in frames] == ["message.snapshot", "run.interrupted"]
    assert (frames[0].id, frames[0].data["text"]) == (6, "short")
    assert frames[0].data.keys() == {"run_id", "seq", "type", "text"}
    assert frames[1].id > 2**32
    assert frames[1].data.keys() == {"run_id", "seq", "type"}


async def test_the_position_may_be_in_the_address_and_the_header_goes_before_it(alice: httpx.AsyncClient) -> None:
    run_id = (await ask(alice))["run_id"]
    path = f"/api/runs/{run_id}/events"
    assert shown(frames_of((await alice.get(path, params={"after": 7})).text)) == "world"
    both = await alice.get(path, params={"after": 7}, headers={"Last-Event-ID": "1"})
    assert shown(frames_of(both.text)) == "Hello world"
    assert (await alice.get(path, params={"after": 13})).status_code == 204


@pytest.mark.parametrize("position", ["-1", "1.5", "x", "１", "9" * 19, "1" * 400, " "])
async def test_what_is_no_position_is_refused(alice: httpx.AsyncClient, position: str) -> None:
    run_id = (await ask(alice))["run_id"]
    in_address = await alice.get(f"/api/runs/{run_id}/events", params={"after": position})
    body = problem_of(in_address, 422, "invalid_request", "errors")
    assert body["errors"][0]["field"] == "after"


async def test_a_failed_and_a_cancelled_run_can_be_replayed_too(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then("half", UpstreamTimeout())
    first = frames_of((await alice.post(CHAT, json=said(stream=True))).text)
    async with live_run(api, alice, "half", stream=True) as live:
        await alice.post(f"/api/runs/{live.id}/cancel")
        second = frames_of((await live.response).text)
    for heard in (first, second):
        again = frames_of((await events(alice, heard[0].data["run_id"])).text)
        assert [(frame.id, frame.data) for frame in again] == [(frame.id, frame.data) for frame in heard]


async def test_a_comment_comes_every_fifteen_seconds_of_silence(apis: Apis) -> None:
    api = await apis.start(swapped={"run_log": MemoryRunLog(silence_s=size(0.02, SILENCE_S))})
    alice = await api.user("alice")
    owner = (await alice.get("/api/me")).json()["user_id"]
    sent: list[tuple[float, bytes]] = []
    pinged = asyncio.Event()

    async def send(message: dict) -> None:
        sent.append((time.monotonic(), message.get("body", b"")))
        if sent[-1][1] == b": ping\n\n":
            pinged.set()

    async def receive() -> dict:
        await asyncio.Event().wait()
        return {}

    async with live_run(api, alice, "a") as live:
        run = await api.container.run_store().read_run(owner, live.id)
        after = size(0.05, sse.PING_AFTER_S)
        stream = sse.EventStream(api.container.runs().events(run), sse.SseEncoder(run.id), ping_after_s=after)
        streaming = asyncio.ensure_future(stream({}, receive, send))
        async with asyncio.timeout(30):
            await pinged.wait()
        await live.end()
        await streaming
    (_, _), (_, _), (said_at, _), (pinged_at, ping), *_ = sent
    assert ping == b": ping\n\n"
    assert after <= pinged_at - said_at <= 15
    assert SILENCE_S + sse.PING_AFTER_S <= 15


async def test_one_follower_too_many_of_a_user_is_refused_until_another_has_left(apis: Apis) -> None:
    api = await apis.start(max_followers_per_user=2)
    alice, bob = await api.user("alice"), await api.user("bob")
    async with live_run(api, alice, "Hello", stream=False) as live:
        first, second = (asyncio.ensure_future(events(alice, live.id)) for _ in range(2))

        async def both_follow() -> bool:
            return api.container.run_responses()._followers.total() == 2

        await eventually(both_follow)
        refused = await events(alice, live.id)
        problem_of(refused, 429, "too_many_followers")
        assert refused.headers["Retry-After"] == "5"
        problem_of(await alice.post(CHAT, json=said(stream=True)), 429, "too_many_followers")
        assert len((await alice.get("/api/threads")).json()["data"]) == 1, "nothing is stored for what is refused"
        assert (await ask(bob))["response"]
        await live.end()
        await asyncio.gather(first, second)
    assert frames_of((await events(alice, live.id)).text)[-1].event == "run.completed"


async def test_however_often_at_once_a_request_is_repeated_no_more_follow_its_run(apis: Apis) -> None:
    api = await apis.start(max_followers_per_user=2)
    alice = await api.user("alice")
    key = {"Idempotency-Key": "k"}
    async with live_run(api, alice, "Hello", stream=False, headers=key) as live:
        again = [asyncio.ensure_future(alice.post(CHAT, json=said(stream=True), headers=key)) for _ in range(10)]

        async def refused() -> bool:
            return sum(answer.done() for answer in again) == 8

        await eventually(refused)
        await live.end()
        assert sorted([answer.status_code for answer in await asyncio.gather(*again)]) == [200] * 2 + [429] * 8
