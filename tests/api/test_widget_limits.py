"""What `POST /chatkit` refuses, and that a refused request stops nothing and stores nothing."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from chatorch.entrypoints.chatkit.stream import ChatKitStream
from tests.support.api import Api, Apis, ask, asking, newest_run, problem_of
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.widget import Answered, add, asked, create, said, send


@pytest.fixture
async def left(api: Api, alice: httpx.AsyncClient) -> AsyncIterator[tuple[str, str, Answered]]:
    """A thread whose second answer is being given to nobody: its run, its id, and what came before."""
    before = await create(alice)
    pause = Pause()
    api.model.then("So far", pause)
    async with asking(alice, thread_id=before.thread_id) as response:
        await pause.reached()
        run_id = await newest_run(alice)
        execution = api.container.executor()._live[run_id]
        response.cancel()
        await asyncio.gather(response, return_exceptions=True)
        assert (execution.watchers, execution.was_watched) == (0, True)
        yield run_id, before.thread_id, before
        pause.go_on()


@pytest.mark.parametrize(
    ("kind", "params", "status"),
    [
        ("threads.retry_after_item", {"item_id": "msg_unknown"}, 404),
        ("threads.retry_after_item", {"item_id": "the answer"}, 422),
        ("threads.add_user_message", {"input": said("x" * 2001)}, 422),
        ("threads.add_user_message", {"input": said("")}, 422),
        ("threads.add_user_message", {"input": said(attachments=["atc_1"])}, 422),
        ("threads.add_user_message", {"input": said(inference_options={"model": "not-allowed"})}, 422),
    ],
)
async def test_a_refused_request_leaves_a_running_answer_alone(
    alice: httpx.AsyncClient, left: tuple[str, str, Answered], kind: str, params: dict, status: int
):
    run_id, thread_id, before = left
    if params.get("item_id") == "the answer":
        params = {"item_id": before.items[1].id}
    response = await send(alice, kind, thread_id=thread_id, **params)

    assert response.status_code == status, response.text
    assert (await alice.get(f"/api/runs/{run_id}")).json()["status"] == "streaming"


async def test_a_second_message_at_once_does_not_stop_an_answer_that_is_about_to_be_followed(
    api: Api, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    thread_id = (await create(alice)).thread_id
    pause, pumping, pump = Pause(), asyncio.Event(), ChatKitStream.pump

    async def late(self, send):
        await pumping.wait()
        await pump(self, send)

    monkeypatch.setattr(ChatKitStream, "pump", late)
    api.model.then("Half", pause, " done")
    first = asyncio.ensure_future(add(alice, thread_id, "A"))
    await pause.reached()
    second = await send(alice, "threads.add_user_message", thread_id=thread_id, input=said("B"))
    problem_of(second, 409, "thread_busy", "run_id")
    pumping.set()
    pause.go_on()

    answer = await first
    assert (answer.shown, answer.errors) == ("Half done", [])


async def test_ratings_are_of_a_hundred_items_at_most(alice: httpx.AsyncClient):
    answer = await create(alice)
    response = await send(
        alice, "items.feedback", thread_id=answer.thread_id, item_ids=[answer.items[1].id] * 101, kind="positive"
    )
    assert problem_of(response, 422, "invalid_request", "errors")["errors"][0]["field"] == "params.item_ids"


async def test_what_comes_beside_a_text_is_bounded_as_metadata_is(alice: httpx.AsyncClient):
    tag = {"type": "input_tag", "id": "e", "text": "@Ada", "data": {"x": "y" * 17_000}}
    response = await send(alice, "threads.create", input=said(content=[tag]))
    assert problem_of(response, 422, "invalid_request", "errors")["errors"][0]["field"] == "params.input.content"
    tag["data"]["x"] = "y" * 15_000
    assert (await create(alice, content=[tag])).errors == []


async def test_a_thread_is_not_titled_by_what_is_quoted(alice: httpx.AsyncClient):
    answer = await create(alice, "Why so?", quoted_text="because")
    assert (await alice.get(f"/api/threads/{answer.thread_id}")).json()["title"] == "Why so?"
    blank = await send(alice, "threads.update", thread_id=answer.thread_id, title="   ")
    problem_of(blank, 422, "invalid_request", "errors")


async def test_an_action_on_what_is_no_widget_ends_in_an_error(alice: httpx.AsyncClient):
    answer = await create(alice)
    params = {"thread_id": answer.thread_id, "item_id": answer.items[0].id, "action": {"type": "go"}}
    [error] = Answered(await send(alice, "threads.custom_action", **params)).errors
    assert error.allow_retry is False


async def test_a_retry_is_answered_by_the_model_that_answered_before_if_it_still_may(apis: Apis):
    api = await apis.start(allowed_models={"model-x"})
    alice = await api.user("alice")
    begun = await ask(alice, model="model-x")
    [question, _] = (await asked(alice, "items.list", thread_id=begun["thread_id"], order="asc"))["data"]
    retry = {"thread_id": begun["thread_id"], "item_id": question["id"]}
    again = Answered(await send(alice, "threads.retry_after_item", **retry))
    assert (await alice.get(f"/api/runs/{again.run_id}")).json()["model"] == "model-x"

    api.container.runs()._policy = api.container.runs()._policy.__class__("another-model")
    again = Answered(await send(alice, "threads.retry_after_item", **retry))
    assert (await alice.get(f"/api/runs/{again.run_id}")).json()["model"] == "another-model"


async def test_a_thread_that_is_locked_takes_nothing(api: Api, alice: httpx.AsyncClient):
    answer = await create(alice)
    user_id = (await alice.get("/api/me")).json()["user_id"]
    note = {"status": {"type": "locked", "reason": "done"}, "allowed_image_domains": None, "metadata": {}}
    await api.container.thread_notes().put_note(user_id, answer.thread_id, note)

    async def locked() -> bool:
        thread = await asked(alice, "threads.get_by_id", thread_id=answer.thread_id)
        return thread["status"]["type"] == "locked"

    await eventually(locked)
    problem_of(await send(alice, "threads.add_user_message", thread_id=answer.thread_id, input=said()), 409, "conflict")
