"""A message that the provider refuses, as clients see it through every door."""

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamModelUnknown, UpstreamRejected
from tests.support.api import Api, Apis, ask, frames_of, newest_run, problem_of, said
from tests.support.postgres import Databases
from tests.support.widget import add, create, send
from tests.support.ws import Device

CHAT = "/api/chat/protected"


async def shown(client: httpx.AsyncClient, thread_id: str) -> list[tuple[str, str, str]]:
    listed = await client.get(f"/api/threads/{thread_id}/messages", params={"limit": 100})
    return [(message["role"], message["content"], message["status"]) for message in listed.json()["data"]]


def prompt(api: Api) -> list[str]:
    return [message.content for message in api.model.calls[-1].prompt.messages]


@pytest.fixture(params=["sqlite", "postgresql"])
async def api(request: pytest.FixtureRequest, apis: Apis) -> Api:
    if request.param == "sqlite":
        return await apis.start()
    databases: Databases = request.getfixturevalue("postgres")
    return await apis.start(database_url=await databases.fresh())


async def test_it_is_a_502_and_the_thread_goes_on_without_it(api: Api, alice: httpx.AsyncClient) -> None:
    thread = (await ask(alice, "One"))["thread_id"]
    api.model.then(UpstreamRejected())
    problem_of(await alice.post(CHAT, json=said("bad", thread_id=thread)), 502, "upstream_rejected", "run_id")
    assert (await shown(alice, thread))[2:] == [("user", "bad", "incomplete"), ("assistant", "", "incomplete")]
    await ask(alice, "Two", thread_id=thread)
    assert prompt(api) == ["One", "Hello world", "Two"]
    assert (await shown(alice, thread))[2] == ("user", "bad", "incomplete")


async def test_a_retry_sends_it_again(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then(UpstreamRejected())
    await alice.post(CHAT, json=said("bad"))
    run = await newest_run(alice)
    api.model.then(UpstreamRejected())
    problem_of(await alice.post(f"/api/runs/{run}/retry"), 502, "upstream_rejected", "run_id")
    answer = (await alice.post(f"/api/runs/{run}/retry")).json()
    assert (prompt(api), answer["response"]) == (["bad"], "Hello world")
    assert await shown(alice, answer["thread_id"]) == [
        ("user", "bad", "complete"),
        ("assistant", "Hello world", "complete"),
    ]
    await ask(alice, "Two", thread_id=answer["thread_id"])
    assert prompt(api) == ["bad", "Hello world", "Two"]


async def test_streams_and_sockets_are_told_so(api: Api, alice: httpx.AsyncClient, phone: Device) -> None:
    api.model.then(UpstreamRejected())
    last = frames_of((await alice.post(CHAT, json=said("bad", stream=True))).text)[-1]
    assert (last.event, last.data["code"], last.data["retryable"]) == ("run.failed", "upstream_rejected", False)
    api.model.then(UpstreamRejected())
    ack = await phone.ask("chat.send", content="bad")
    screen = await phone.run_ended(ack["run_id"])
    assert [(end["type"], end["code"]) for end in screen.terminals] == [("run.failed", "upstream_rejected")]
    assert (await shown(alice, ack["thread_id"]))[0] == ("user", "bad", "incomplete")


async def test_the_widget_goes_on_and_its_retry_sends_it_again(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then(UpstreamRejected())
    first = await create(alice, "bad")
    assert [error.allow_retry for error in first.errors] == [False]
    api.model.then(UpstreamRejected())
    second = await add(alice, first.thread_id, "worse")
    await add(alice, first.thread_id, "Two")
    assert prompt(api) == ["Two"]
    question = second.items[0].id
    answer = await send(alice, "threads.retry_after_item", thread_id=first.thread_id, item_id=question)
    assert answer.status_code == 200
    assert prompt(api) == ["worse"]
    assert [status for _, content, status in await shown(alice, first.thread_id) if content] == [
        "incomplete", "complete", "complete",
    ]  # fmt: skip


async def test_a_wrong_models_name_says_nothing_against_the_message(api: Api, alice: httpx.AsyncClient) -> None:
    api.model.then(UpstreamModelUnknown())
    problem_of(await alice.post(CHAT, json=said("good")), 502, "upstream_rejected", "run_id")
    run = await newest_run(alice)
    thread = (await alice.get(f"/api/runs/{run}")).json()["thread_id"]
    assert (await shown(alice, thread))[0] == ("user", "good", "complete")
    await ask(alice, "Two", thread_id=thread)
    assert prompt(api) == ["good\n\nTwo"]
