"""AG-UI's pages that do not know all of their thread: nothing is lost by them, and nothing said twice."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.ag_ui import Client
from tests.support.ag_ui_door import DOOR, PAGE, asked, connect, live, refused_of, run_agent, stored, until_following
from tests.support.api import Api, ask, done
from tests.support.fakes import Pause

ONE = {"id": "u-One", "role": "user", "content": "One"}


def said(page: Client) -> list[str]:
    return [message["content"] for message in page.messages if message["role"] == "user"]


async def three_turns(alice: httpx.AsyncClient) -> Client:
    """What a page holds that has seen the first of them only."""
    page = await run_agent(alice, "One")
    await run_agent(alice, "Two", run="run-2")
    await run_agent(alice, "Three", run="run-3")
    return page


async def test_a_page_that_is_behind_is_told_so_and_loses_nothing(api: Api, alice: httpx.AsyncClient):
    page = await three_turns(alice)
    before = await stored(alice)
    for number, messages in enumerate(([ONE], [ONE, *page.messages])):
        answer = await alice.post(DOOR, json=asked(run=f"again-{number}", messages=messages))
        assert "connect" in refused_of(answer, 409, "newer_messages")["message"]
    assert await stored(alice) == before
    assert len(api.model.calls) == 3
    assert said(await connect(alice)) == ["One", "Two", "Three"]
    await run_agent(alice, run="run-4", messages=[ONE, *page.messages, {**ONE, "id": "u-Four", "content": "Four"}])
    assert said(await connect(alice)) == ["One", "Two", "Three", "Four"], "something new is never refused"


async def test_however_far_it_is_behind_and_by_our_ids_too(alice: httpx.AsyncClient):
    await run_agent(alice, "One")
    ours = (await connect(alice)).messages
    thread, _ = await stored(alice)
    [listed, *_] = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    more = [{"role": "user", "content": f"m{number}"} for number in range(999)]
    answer = await alice.post("/api/chat/protected", json={"thread_id": thread["id"], "messages": more})
    assert answer.status_code == 200, answer.text
    for number, message in enumerate((ours[0], {**ONE, "id": listed["id"]})):
        answer = await alice.post(DOOR, json=asked(run=f"again-{number}", messages=[message]))
        refused_of(answer, 409, "newer_messages")


async def test_nobody_is_stopped_for_it(api: Api, alice: httpx.AsyncClient):
    await run_agent(alice, "One")
    pause = Pause()
    api.model.then("so ", pause, "far")
    left = asyncio.ensure_future(run_agent(alice, "Two", run="run-2"))
    await pause.reached()
    left.cancel()
    await asyncio.wait([left])
    refused_of(await alice.post(DOOR, json=asked(run="again", messages=[ONE])), 409, "newer_messages")
    pause.go_on()
    assert (await connect(alice)).messages[-1]["content"] == "so far"


async def test_the_newest_is_answered_again_and_what_was_asked_under_the_same_run_id_is_joined(
    api: Api, alice: httpx.AsyncClient
):
    await three_turns(alice)
    await run_agent(alice, "Three", run="run-4")
    assert said(await connect(alice)) == ["One", "Two", "Three"]
    assert (await alice.post(DOOR, json=asked("One"))).status_code == 200, "a request that came twice"
    assert len(api.model.calls) == 4


async def test_the_earlier_of_two_texts_of_one_id_is_behind_the_later(alice: httpx.AsyncClient):
    await run_agent(alice, messages=[ONE])
    later = {**ONE, "content": "Another"}
    await run_agent(alice, run="run-2", messages=[later])
    refused_of(await alice.post(DOOR, json=asked(run="run-3", messages=[ONE])), 409, "newer_messages")
    await run_agent(alice, run="run-4", messages=[later])
    assert said(await connect(alice)) == ["One", "Another"]


async def test_a_message_that_is_sent_several_times_at_once_is_one(api: Api, alice: httpx.AsyncClient):
    async with live(api, alice, "so ", messages=[ONE]) as (pause, response):
        again = [asyncio.ensure_future(alice.post(DOOR, json=asked(run=f"r{n}", messages=[ONE]))) for n in range(3)]
        await until_following(api, 4)
        pause.go_on()
        answers = [await done(task) for task in (response, *again)]
    assert [answer.status_code for answer in answers] == [200] * 4
    api.model.then("so ", pause := Pause(), "far")
    fresh = {"thread": "fresh", "messages": [ONE]}
    tasks = [asyncio.ensure_future(alice.post(DOOR, json=asked(run=f"r{n}", **fresh))) for n in range(4)]
    await until_following(api, 4)
    pause.go_on()
    assert [(await done(task)).status_code for task in tasks] == [200] * 4
    for thread in (PAGE, "fresh"):
        assert said(await connect(alice, thread=thread)) == ["One"]
    assert len(api.model.calls) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"id": "msg_zzz"},
        {"id": "msg_1.2"},
        {"id": "m" * 256},
        {"id": "m" * 3000},
        {"id": ""},
        {"id": 7},
        {"id": "mine", "more": 1},
        "mine",
        ["id"],
        None,
    ],
)
async def test_what_another_door_was_given_as_metadata_is_no_id_here(alice: httpx.AsyncClient, given: Any):
    message = {"role": "user", "content": "Hi", "metadata": {"ag_ui": given}}
    answer = await alice.post("/api/chat/protected", json={"messages": [message], "client_ref": PAGE})
    thread = f"/api/threads/{answer.json()['thread_id']}/messages"
    ours = [each["id"] for each in (await alice.get(thread)).json()["data"]]
    assert [each["id"] for each in (await connect(alice)).messages] == ours
    assert said(await connect(alice)) == ["Hi"]


async def test_a_message_of_another_door_keeps_its_place_by_our_id(alice: httpx.AsyncClient):
    await ask(alice, "Hi", client_ref=PAGE)
    [question, _] = (await connect(alice)).messages
    await run_agent(alice, run="run-2", messages=[question])
    assert said(await connect(alice)) == ["Hi"]
