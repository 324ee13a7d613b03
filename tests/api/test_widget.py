"""`POST /chatkit`: what the widget asks for, over the threads, messages and runs of all doors."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from chatorch.domain.model.conversation import Role
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from tests.support.api import Api, ask, live_run, problem_of
from tests.support.fakes import Pause
from tests.support.widget import Answered, add, asked, create, said, send


def texts(items: dict) -> list[str]:
    return ["".join(part["text"] for part in item["content"]) for item in items["data"]]


async def items_of(client: httpx.AsyncClient, thread_id: str, **params: object) -> dict:
    return await asked(client, "items.list", thread_id=thread_id, **{"order": "asc", "limit": 50, **params})


async def test_a_new_thread_is_told_from_its_begin_to_its_answer(alice: httpx.AsyncClient):
    answer = await create(alice, "What is up?")

    assert answer.kinds[:4] == ["thread.created", "thread.item.done", "stream_options", "thread.item.added"]
    assert set(answer.kinds[4:-1]) == {"thread.updated", "thread.item.updated"}
    assert answer.kinds[-1] == "thread.item.done"
    assert answer.shown == "Hello world"
    question, told = answer.items
    assert (question.content[0].text, told.content[0].text) == ("What is up?", "Hello world")
    [titled] = [event for event in answer.events if event.type == "thread.updated"]
    assert titled.thread.title == "What is up?"
    assert answer.events[2].stream_options.allow_cancel
    run = (await alice.get(f"/api/runs/{answer.run_id}")).json()
    assert (run["status"], run["message_id"], run["thread_id"]) == ("completed", told.id, answer.thread_id)
    assert [len(id_) for id_ in (question.id, told.id, answer.thread_id)] == [30, 30, 30]


async def test_what_was_told_is_what_is_read_and_times_are_utc(alice: httpx.AsyncClient):
    answer = await create(alice)
    thread = await asked(alice, "threads.get_by_id", thread_id=answer.thread_id)

    created = answer.events[0].thread.created_at
    assert created.tzinfo is not None
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    assert datetime.fromisoformat(thread["created_at"]) == created
    read = thread["items"]["data"]
    assert [item["id"] for item in read] == [item.id for item in answer.items]
    assert [datetime.fromisoformat(item["created_at"]) for item in read] == [item.created_at for item in answer.items]
    assert texts(thread["items"]) == ["Hi", "Hello world"]
    assert thread["status"] == {"type": "active"}


async def test_a_thread_begun_by_another_door_is_seen_and_continued_and_the_other_way_round(
    api: Api, alice: httpx.AsyncClient
):
    begun = await ask(alice, "First")
    answer = await add(alice, begun["thread_id"], "Second")
    assert answer.kinds[0] == "thread.item.done"
    assert texts(await items_of(alice, begun["thread_id"])) == ["First", "Hello world", "Second", "Hello world"]
    third = await ask(alice, "Third", thread_id=begun["thread_id"])
    assert third["response"] == "Hello world"

    said_so_far = [(m.role, m.content) for m in api.model.calls[-1].prompt.messages]
    assert said_so_far[-5:] == [
        (Role.USER, "First"), (Role.ASSISTANT, "Hello world"), (Role.USER, "Second"), (Role.ASSISTANT, "Hello world"),
        (Role.USER, "Third"),
    ]  # fmt: skip
    messages = (await alice.get(f"/api/threads/{begun['thread_id']}/messages")).json()["data"]
    assert [m["content"] for m in messages] == ["First", "Hello world", "Second", "Hello world", "Third", "Hello world"]
    assert [m["id"] for m in messages] == [item["id"] for item in (await items_of(alice, begun["thread_id"]))["data"]]


async def test_threads_are_listed_renamed_and_deleted(alice: httpx.AsyncClient):
    ids = [(await create(alice, f"Thread {number}")).thread_id for number in range(5)]
    first = await asked(alice, "threads.list", limit=3)
    assert [thread["id"] for thread in first["data"]] == ids[:1:-1]
    assert first["has_more"]
    rest = await asked(alice, "threads.list", limit=3, after=first["after"])
    assert ([thread["id"] for thread in rest["data"]], rest["has_more"]) == (ids[1::-1], False)

    renamed = await asked(alice, "threads.update", thread_id=ids[0], title="A better title")
    assert renamed["title"] == "A better title"
    assert (await alice.get(f"/api/threads/{ids[0]}")).json()["title"] == "A better title"
    problem_of(await send(alice, "threads.update", thread_id=ids[0], title=""), 422, "invalid_request", "errors")
    assert await asked(alice, "threads.delete", thread_id=ids[0]) == {}
    problem_of(await send(alice, "threads.get_by_id", thread_id=ids[0]), 404, "not_found")


async def test_pages_of_items_go_on_behind_the_last_one(alice: httpx.AsyncClient):
    thread_id = (await create(alice, "0")).thread_id
    for number in range(1, 4):
        await add(alice, thread_id, str(number))
    everything = await items_of(alice, thread_id)
    assert len(everything["data"]) == 8

    seen, after = [], None
    for _ in range(3):
        page = await items_of(alice, thread_id, limit=3, order="desc", after=after)
        seen += page["data"]
        after = page.get("after")
        if not page["has_more"]:
            break
    assert seen == everything["data"][::-1]
    assert (await items_of(alice, thread_id, limit=-5))["data"] == everything["data"][:1]
    assert len((await items_of(alice, thread_id, limit=10**9))["data"]) == 8


async def test_what_the_widget_sends_beside_text_reads_back_equal_and_the_model_sees_what_is_quoted(
    api: Api, alice: httpx.AsyncClient
):
    content = [
        {"type": "input_text", "text": "Ask "},
        {"type": "input_tag", "id": "ent_1", "text": "@Ada", "data": {"k": ["v", None]}, "group": "People"},
    ]
    options = {"tool_choice": {"id": "summarize"}}
    answer = await create(alice, content=content, quoted_text="line 1\nline 2", inference_options=options)

    [question, _] = (await items_of(alice, answer.thread_id))["data"]
    assert question["content"][1]["data"] == {"k": ["v", None]}
    assert (question["quoted_text"], question["inference_options"]) == ("line 1\nline 2", options)
    assert question == answer.items[0].model_dump(mode="json", exclude_none=True) | {
        "content": question["content"], "created_at": question["created_at"],
    }  # fmt: skip
    assert api.model.calls[-1].prompt.messages[-1].content == "> line 1\n> line 2\n\nAsk @Ada"
    [message, _] = (await alice.get(f"/api/threads/{answer.thread_id}/messages")).json()["data"]
    assert message["content"] == "> line 1\n> line 2\n\nAsk @Ada"


async def test_a_retry_answers_the_same_message_again_and_takes_out_what_came_after(api: Api, alice: httpx.AsyncClient):
    answer = await create(alice, "One")
    await add(alice, answer.thread_id, "Two")
    api.model.then("Another answer")
    question = answer.items[0]
    again = Answered(await send(alice, "threads.retry_after_item", thread_id=answer.thread_id, item_id=question.id))

    assert again.kinds[:2] == ["stream_options", "thread.item.added"]
    assert again.shown == "Another answer"
    assert texts(await items_of(alice, answer.thread_id)) == ["One", "Another answer"]
    assert again.run_id != answer.run_id


@pytest.mark.parametrize("which", ["answer", "unknown", "other thread"])
async def test_only_a_message_of_the_user_is_retried_and_nothing_is_lost_by_a_wrong_one(
    alice: httpx.AsyncClient, which: str
):
    answer, other = await create(alice), await create(alice)
    wrong = {"answer": answer.items[1].id, "unknown": "msg_unknown", "other thread": other.items[0].id}[which]
    response = await send(alice, "threads.retry_after_item", thread_id=answer.thread_id, item_id=wrong)

    assert response.status_code == (422 if which == "answer" else 404)
    assert texts(await items_of(alice, answer.thread_id)) == ["Hi", "Hello world"]


async def test_an_answer_that_fails_keeps_its_part_and_says_so(api: Api, alice: httpx.AsyncClient):
    api.model.then("Half an", UpstreamUnavailable())
    answer = await create(alice)

    assert answer.shown == "Half an"
    [error] = answer.errors
    assert (error.code, error.allow_retry) == ("custom", True)
    assert error.message == UpstreamUnavailable.default_detail
    assert texts(await items_of(alice, answer.thread_id)) == ["Hi", "Half an"]
    assert answer.items[-1].content[0].text == "Half an"


async def test_the_stop_button_cancels_the_run_and_the_part_stays(api: Api, alice: httpx.AsyncClient):
    pause = Pause()
    api.model.then("Half an", pause, " answer")
    asking = asyncio.ensure_future(create(alice))
    await pause.reached()
    [thread] = (await asked(alice, "threads.list"))["data"]
    [message] = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"][1:]
    assert (await alice.post(f"/api/runs/{message['run_id']}/cancel")).status_code == 202

    answer = await asking
    assert answer.location == f"/api/runs/{message['run_id']}/events"
    assert (answer.shown, answer.errors) == ("Half an", [])
    assert answer.items[-1].content[0].text == "Half an"
    assert texts(await items_of(alice, thread["id"])) == ["Hi", "Half an"]


async def test_a_live_answer_shows_its_text_so_far(api: Api, alice: httpx.AsyncClient):
    async with live_run(api, alice, "So far") as live:
        [thread] = (await asked(alice, "threads.list"))["data"]
        assert texts(await items_of(alice, thread["id"])) == ["Hi", "So far"]
        problem = problem_of(
            await send(alice, "threads.add_user_message", thread_id=thread["id"], input=said("And?")),
            409, "thread_busy", "run_id",
        )  # fmt: skip
        assert problem["run_id"] == live.id
        assert texts(await items_of(alice, thread["id"])) == ["Hi", "So far"]
        await live.end()


async def test_feedback_is_for_what_is_there(alice: httpx.AsyncClient):
    answer = await create(alice)
    there = answer.items[1].id
    ask_for = {"thread_id": answer.thread_id, "kind": "positive"}
    assert await asked(alice, "items.feedback", item_ids=[there], **ask_for) == {}
    problem_of(await send(alice, "items.feedback", item_ids=[there, "msg_x"], **ask_for), 404, "not_found")


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("attachments.create", {"name": "a.txt", "size": 3, "mime_type": "text/plain"}),
        ("attachments.delete", {"attachment_id": "atc_X"}),
        ("input.transcribe", {"audio_base64": "AAAA", "mime_type": "audio/webm"}),
    ],
)
async def test_what_is_not_supported_says_so(alice: httpx.AsyncClient, kind: str, params: dict):
    problem = problem_of(await send(alice, kind, **params), 422, "invalid_request", "errors")
    assert "not supported" in problem["detail"]


async def test_a_message_with_attachments_is_refused_and_nothing_is_stored(alice: httpx.AsyncClient):
    response = await send(alice, "threads.create", input=said(attachments=["atc_1"]))
    problem = problem_of(response, 422, "invalid_request", "errors")
    assert problem["errors"][0]["field"] == "params.input.attachments"
    assert (await asked(alice, "threads.list"))["data"] == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.custom_action", {"action": {"type": "go"}}),
        ("threads.add_client_tool_output", {"result": 1}),
    ],
)
async def test_what_nothing_handles_ends_in_an_error_that_says_so(alice: httpx.AsyncClient, kind: str, params: dict):
    thread_id = (await create(alice)).thread_id
    answer = Answered(await send(alice, kind, thread_id=thread_id, **params))
    [error] = answer.errors
    assert (error.code, error.message, error.allow_retry) == ("custom", "Nothing here handles this.", False)
    assert answer.location is None


async def test_a_synchronous_action_that_nothing_handles_is_a_problem(alice: httpx.AsyncClient):
    thread_id = (await create(alice)).thread_id
    response = await send(alice, "threads.sync_custom_action", thread_id=thread_id, action={"type": "go"})
    assert problem_of(response, 422, "invalid_request", "errors")["errors"][0]["field"] == "params.action.type"


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("threads.update", {"title": "Mine now"}),
        ("threads.delete", {}),
        ("items.feedback", {"item_ids": [], "kind": "negative"}),
        ("threads.add_user_message", {"input": said()}),
        ("threads.retry_after_item", {"item_id": "msg_1"}),
        ("threads.custom_action", {"action": {"type": "go"}}),
        ("threads.sync_custom_action", {"action": {"type": "go"}}),
        ("threads.add_client_tool_output", {"result": 1}),
        ("threads.add_structured_input", {"item_id": "msg_1", "input": {"answers": {}}}),
    ],
)
async def test_what_is_anothers_is_not_found(alice: httpx.AsyncClient, bob: httpx.AsyncClient, kind: str, params: dict):
    answer = await create(alice)
    if "item_id" in params:
        params = {**params, "item_id": answer.items[0].id}
    for thread_id in (answer.thread_id, "thr_unknown", "thr_\x7f", ""):
        problem_of(await send(bob, kind, thread_id=thread_id, **params), 404, "not_found")
    assert texts(await items_of(alice, answer.thread_id)) == ["Hi", "Hello world"]
    assert (await asked(bob, "threads.list"))["data"] == []


async def test_a_model_is_asked_for_and_must_be_allowed(api: Api, alice: httpx.AsyncClient):
    response = await send(alice, "threads.create", input=said(inference_options={"model": "not-allowed"}))
    problem_of(response, 422, "model_not_allowed", "errors")
    for empty in ("", []):
        members = {"content": empty} if isinstance(empty, list) else {}
        response = await send(alice, "threads.create", input=said("", quoted_text="quoted", **members))
        problem_of(response, 422, "invalid_request", "errors")
    response = await send(alice, "threads.create", input=said("x" * 2001))
    assert problem_of(response, 422, "invalid_request", "errors")["errors"][0]["field"] == "params.input.content"
    assert (await asked(alice, "threads.list"))["data"] == []
    assert api.model.calls == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": "threads.explode"}, "type"),
        ({"type": ["threads.list"]}, "type"),
        ({"type": "threads.list"}, "params"),
        ({"type": "threads.get_by_id", "params": {}}, "params.thread_id"),
        ({"type": "threads.get_by_id", "params": {"thread_id": 7}}, "params.thread_id"),
        ({"type": "threads.list", "params": {"order": "up"}}, "params.order"),
        ({"type": "threads.create", "params": {"input": {"attachments": []}}}, "params.input.content"),
    ],
)
async def test_a_wrong_request_names_the_field(alice: httpx.AsyncClient, body: dict, field: str):
    problem = problem_of(await alice.post("/chatkit", json=body), 422, "invalid_request", "errors")
    assert field in [error["field"] for error in problem["errors"]]
    assert "explode" not in problem["detail"]


async def test_who_is_not_signed_in_stays_out(api: Api):
    problem_of(await send(api.anonymous(), "threads.list"), 401, "not_authenticated")


async def test_it_is_there_where_the_operator_wants_it(apis):
    api = await apis.start(chatkit_server=False)
    client = await api.user("carol")
    assert (await send(client, "threads.list")).status_code == 404
