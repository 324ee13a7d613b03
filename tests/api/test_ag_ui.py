"""AG-UI's door: asking, asking again, and what it refuses. What its client folds of the events is what is stored."""

import asyncio
from typing import Any

import httpx

from chatorch.domain.model.upstream_errors import UpstreamRejected, UpstreamTimeout
from tests.support.ag_ui import Client
from tests.support.ag_ui_door import DOOR, PAGE, asked, connect, live, refused_of, run_agent, stored, until_following
from tests.support.api import Api, Apis, ask, done, newest_run

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("tools.0.name", {"tools": [{"name": "two words", "description": "", "parameters": {}}]}),
    ("tools", {"tools": [{"name": "look", "description": ""}, {"name": "look", "description": ""}]}),
    ("tools.0.colour", {"tools": [{"name": "look", "description": "", "colour": "mauve"}]}),
    ("context.0.value", {"context": [{"description": "d"}]}),
    ("state", {"state": {"a": 1}}),
    ("state", {"state": 0}),
    ("resume.0.status", {"resume": [{"interruptId": "i", "status": "mauve"}]}),
    ("parentRunId", {"parentRunId": "run-0"}),
    ("forwardedProps.colour", {"forwardedProps": {"colour": "mauve"}}),
    ("forwardedProps.temperature", {"forwardedProps": {"temperature": 9}}),
    ("messages", {"messages": []}),
    ("messages", {"messages": [{"id": "a", "role": "assistant", "content": "Hi"}]}),
    ("messages.0.content", {"messages": [{"id": "a", "role": "user"}]}),
    ("messages.0.content", {"messages": [{"id": "a", "role": "user", "content": []}]}),
    ("messages.0.content", {"messages": [{"id": "a", "role": "user", "content": " "}]}),
    ("messages.0.content.1.type", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"},
     {"type": "image", "source": {"type": "url", "value": "https://x.example"}}]}]}),
    ("messages.0.id", {"messages": [{"id": "", "role": "user", "content": "Hi"}]}),
    ("messages.1.id", {"messages": [{"id": 7}, {"id": 7, "role": "user", "content": "Hi"}]}),
    ("messages.0.id", {"messages": [{"id": "m" * 256, "role": "user", "content": "Hi"}]}),
    ("threadId", {"threadId": ""}),
    ("runId", {"runId": "a\nb"}),
    ("colour", {"colour": "mauve"}),
]  # fmt: skip


async def test_an_answer_comes_under_the_clients_names_and_is_stored_under_ours(alice: httpx.AsyncClient):
    answer = await alice.post(DOOR, json=asked())
    page = Client().take(answer.content)
    assert [(message["role"], message["content"]) for message in page.messages] == [("assistant", "Hello world")]
    thread, messages = await stored(alice)
    assert (thread["client_ref"], messages) == (PAGE, [("user", "Hi"), ("assistant", "Hello world")])
    assert page.started is not None
    assert page.ended is not None
    ours = page.started["metadata"]["chatorch"]
    assert (page.started["threadId"], page.started["runId"], ours["thread_id"]) == (PAGE, "run-1", thread["id"])
    assert answer.headers["Content-Location"] == f"/api/runs/{ours['run_id']}/events"
    assert page.ended["type"] == "RUN_FINISHED"
    listed = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    assert page.messages[0]["id"] == listed[1]["id"] == ours["message_id"]


async def test_of_the_messages_the_last_of_the_users_counts_and_the_rest_is_here_already(
    api: Api, alice: httpx.AsyncClient
):
    await run_agent(alice, "One")
    more = asked("One", "Two", run="run-2")
    more["messages"][1:1] = [{"id": "x", "role": "assistant", "content": "Not what was said"}]
    more["messages"] += [{"id": "t", "role": "reasoning", "content": "hm"}, {"id": "a", "role": "activity"}]
    assert (await alice.post(DOOR, json=more)).status_code == 200
    assert [m.content for m in api.model.calls[-1].prompt.messages] == ["One", "Hello world", "Two"]
    assert (await stored(alice))[1][2:] == [("user", "Two"), ("assistant", "Hello world")]


async def test_the_same_run_id_again_joins_the_same_run(api: Api, alice: httpx.AsyncClient):
    first = await run_agent(alice, "Hi")
    page = Client([{"id": "u-Hi", "role": "user", "content": "Hi"}, *first.messages])
    again = page.take((await alice.post(DOOR, json=asked("Hi"))).content)
    assert again.messages[-1:] == first.messages, "and shows nothing twice"
    assert [message["content"] for message in again.messages] == ["Hi", "Hello world"]
    assert len(api.model.calls) == 1
    body = refused_of(await alice.post(DOOR, json=asked("Other")), 422, "idempotency_key_reused")
    assert body["errors"][0]["field"] == "runId"


async def test_a_run_id_is_its_threads_only(alice: httpx.AsyncClient):
    one = await run_agent(alice, "Hi")
    other = await run_agent(alice, "Hi", thread="another-page")
    assert one.messages[0]["id"] != other.messages[0]["id"]


async def test_a_message_that_is_here_already_is_answered_again_under_a_new_run_id(api: Api, alice: httpx.AsyncClient):
    """As a page does that reloads an answer, or asks again after an error."""
    api.model.then("half", UpstreamTimeout())
    failed = await run_agent(alice, "Hi")
    assert failed.ended is not None
    assert (failed.ended["type"], failed.ended["code"]) == ("RUN_ERROR", "upstream_timeout")
    again = asked("Hi", run="run-2")
    again["messages"] += failed.messages
    page = Client().take((await alice.post(DOOR, json=again)).content)
    assert (await stored(alice))[1] == [("user", "Hi"), ("assistant", "Hello world")]
    joined = Client().take((await alice.post(DOOR, json=again)).content)
    assert joined.messages[-1:] == page.messages, "and that is idempotent as well"
    assert len(api.model.calls) == 2


async def test_a_message_that_is_being_answered_goes_on_being_answered(api: Api, alice: httpx.AsyncClient):
    """A page whose connection broke, and whose client knows nothing else than to run again."""
    async with live(api, alice, "so ") as (pause, response):
        again = asyncio.ensure_future(alice.post(DOOR, json=asked(run="run-2")))
        await until_following(api, 2)
        pause.go_on()
        whole = Client().take((await done(response)).content)
        page = Client([{"id": whole.messages[0]["id"], "role": "assistant", "content": "so"}])
        page.take((await done(again)).content)
    assert whole.messages[0] in page.messages
    assert sorted(message["content"] for message in page.messages) == ["Hi", "so  and on"]
    assert len(api.model.calls) == 1


async def test_by_the_ids_of_a_snapshot_too(alice: httpx.AsyncClient):
    await ask(alice, "Hi", client_ref=PAGE)
    page = await connect(alice)
    again = asked(run="run-2", messages=page.messages)
    assert (await alice.post(DOOR, json=again)).status_code == 200
    assert (await stored(alice))[1] == [("user", "Hi"), ("assistant", "Hello world")]


async def test_the_same_id_with_another_text_is_another_message(alice: httpx.AsyncClient):
    await run_agent(alice, "Hi")
    other = asked(run="run-2", messages=[{"id": "u-Hi", "role": "user", "content": "Ho"}])
    assert (await alice.post(DOOR, json=other)).status_code == 200
    assert [content for role, content in (await stored(alice))[1] if role == "user"] == ["Hi", "Ho"]
    page = await connect(alice)
    assert [message["content"] for message in page.messages if message["role"] == "user"] == ["Hi", "Ho"]


async def test_an_id_of_any_length_that_is_taken_is_known_again(alice: httpx.AsyncClient):
    for number, name in enumerate(("m" * 129, "m" * 255, "🙂" * 255, "msg_1")):
        members = {"thread": f"page-{number}", "messages": [{"id": name, "role": "user", "content": "Hi"}]}
        for run in ("run-1", "run-2"):
            assert (await alice.post(DOOR, json=asked(run=run, **members))).status_code == 200
        shown, _ = (await connect(alice, thread=f"page-{number}")).messages
        assert (shown["id"] == name) is (name != "msg_1"), "so ours begin, and those of all that is shown of an answer"


async def test_a_text_may_come_in_parts_and_be_longer_than_the_guides_limit(api: Api, alice: httpx.AsyncClient):
    parts = [{"type": "text", "text": "a" * 5000}, {"type": "text", "text": "b", "id": "p2"}]
    await run_agent(alice, messages=[{"id": "u", "role": "user", "content": parts}])
    assert api.model.calls[-1].prompt.messages[-1].content == "a" * 5000 + "\n\nb"


async def test_what_is_passed_through_says_how_to_generate(apis: Apis):
    api = await apis.start(allowed_models={"b-model"})
    alice = await api.user("alice")
    page = await run_agent(alice, forwardedProps={"model": "b-model", "temperature": 0.5})
    assert page.started is not None
    assert page.started["metadata"]["chatorch"]["model"] == "b-model"
    prompt = api.model.calls[-1].prompt
    assert (prompt.model, prompt.generation.temperature) == ("b-model", 0.5)
    body = refused_of(
        await alice.post(DOOR, json=asked(run="2", forwardedProps={"model": "x"})), 422, "model_not_allowed"
    )
    assert body["errors"][0]["field"] == "forwardedProps.model"


async def test_what_a_page_tells_of_itself_are_rules_for_that_answer(apis: Apis):
    api = await apis.start()
    alice = await api.user("alice")
    about = [{"description": "Open page", "value": "/orders/7"}, {"description": "Language", "value": "de"}]
    await run_agent(alice, "Hi", context=about)
    await run_agent(alice, "Hi", "And?", run="run-2")
    told = [[(m.role, m.content) for m in call.prompt.messages] for call in api.model.calls]
    assert told[0][0] == ("system", "Open page:\n/orders/7\n\nLanguage:\nde")
    assert [role for role, _ in told[1]] == ["user", "assistant", "user"], "and for no other"

    strict = await apis.start(client_system=False)
    bob = await strict.user("bob")
    assert (await bob.post(DOOR, json=asked(context=[]))).status_code == 200
    body = refused_of(await bob.post(DOOR, json=asked(run="run-2", context=about)), 422, "role_not_allowed")
    assert body["errors"][0]["field"] == "context"


async def test_a_pages_own_system_messages_are_not_taken(api: Api, alice: httpx.AsyncClient):
    rules = [{"id": role, "role": role, "content": "Be brief."} for role in ("system", "developer")]
    question = {"id": "u-Hi", "role": "user", "content": "Hi"}
    for run, messages in (("run-1", [*rules, question]), ("run-2", [question, *rules])):
        assert (await alice.post(DOOR, json=asked(run=run, messages=messages))).status_code == 200
        assert [(m.role, m.content) for m in api.model.calls[-1].prompt.messages] == [("user", "Hi")]


async def test_null_is_as_good_as_absent(alice: httpx.AsyncClient):
    """Python's clients send all that they could say."""
    nothing = dict.fromkeys(("parentRunId", "resume", "state", "tools", "context", "forwardedProps"))
    assert (await alice.post(DOOR, json=asked(**nothing))).status_code == 200
    least = {name: value for name, value in asked(run="2").items() if name in {"threadId", "runId", "messages"}}
    assert (await alice.post(DOOR, json=least)).status_code == 200


async def test_what_cannot_be_honoured_is_refused_by_its_name(api: Api, alice: httpx.AsyncClient):
    for field, members in REFUSED:
        body = refused_of(await alice.post(DOOR, json=asked(**members)), 422, "invalid_request")
        assert [error["field"] for error in body["errors"]] == [field]
        assert "mauve" not in str(body)
    assert api.model.calls == []


async def test_each_other_error_is_in_a_form_that_the_client_reads(api: Api, alice: httpx.AsyncClient):
    answer = await api.anonymous().post(DOOR, json=asked())
    refused_of(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    refused_of(await alice.get(DOOR), 405, "method_not_allowed")
    refused_of(await alice.post(f"{DOOR}/nowhere"), 404, "not_found")
    async with live(api, alice, "so"):
        body = refused_of(await alice.post(DOOR, json=asked("More", run="run-2")), 409, "thread_busy")
        assert body["run_id"] == await newest_run(alice)


async def test_too_many_runs_and_followers_say_when_to_come_again(apis: Apis):
    api = await apis.start(max_live_runs_per_user=1, max_followers_per_user=1)
    alice = await api.user("alice")
    async with live(api, alice, "so"):
        answer = await alice.post(f"{DOOR}/connect", json=asked())
        refused_of(answer, 429, "too_many_followers")
        assert int(answer.headers["Retry-After"]) > 0


async def test_a_provider_that_fails_is_an_error_of_the_run_and_never_a_broken_stream(
    api: Api, alice: httpx.AsyncClient
):
    api.model.then(UpstreamRejected())
    page = await run_agent(alice)
    assert page.ended is not None
    assert (page.ended["type"], page.ended["code"]) == ("RUN_ERROR", "upstream_rejected")
    assert page.messages == []


async def test_its_user_stops_it_by_any_other_door(api: Api, alice: httpx.AsyncClient):
    async with live(api, alice, "so") as (_, response):
        assert (await alice.post(f"/api/runs/{await newest_run(alice)}/cancel")).status_code == 202
        page = Client().take((await done(response)).content)
    assert page.ended is not None
    assert (page.ended["type"], page.ended["outcome"]) == ("RUN_FINISHED", {"type": "cancelled"})
    assert [message["content"] for message in page.messages] == ["so"]
