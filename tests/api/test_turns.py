"""Turns of several steps over the API: tools of the operator's and of the client's, approval, and who may use what."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from chatorch.domain.model.identity import Scope
from chatorch.ports.chat_model import Prompt
from tests.support.api import Api, Apis
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.logged import logged
from tests.support.turns import ASKS, Handled, calling, handled

FIND = {
    "type": "function",
    "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}},
}


async def say(client: httpx.AsyncClient, text: str = "Hi", **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], **more}
    answer = await client.post("/api/chat/protected", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def answer_calls(client: httpx.AsyncClient, thread_id: str, **said: Any) -> httpx.Response:
    return await client.post(f"/api/threads/{thread_id}/tool-outputs", json=said)


async def calls_in(client: httpx.AsyncClient, thread_id: str) -> dict[str, str]:
    messages = (await client.get(f"/api/threads/{thread_id}/messages")).json()["data"]
    parts = [part for message in messages for part in message["parts"] if part["type"] == "tool_call"]
    return {part["id"]: part["status"] for part in parts}


def told(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role.value, message.content) for message in prompt.messages]


async def with_tools(apis: Apis, *tools: Handled, **settings: Any) -> Api:
    return await apis.start(swapped={"python_tools": handled(*tools)}, **settings)


async def test_a_tool_of_the_operators_is_called_and_shown(apis: Apis):
    api = await with_tools(apis, Handled("weather", "sunny"))
    alice = await api.user("alice")
    api.model.then("Hm. ", *calling("weather", city="Rome"), ASKS)
    api.model.then("It is sunny.")
    answer = await say(alice)
    assert (answer["response"], answer["finish_reason"]) == ("Hm. It is sunny.", "stop")
    assert answer["parts"] == [
        {"index": 0, "type": "text", "text": "Hm. "},
        {
            "index": 1,
            "type": "tool_call",
            "id": "c1",
            "name": "weather",
            "arguments": '{"city": "Rome"}',
            "status": "completed",
            "needs_approval": False,
        },
        {"index": 2, "type": "tool_result", "call_id": "c1", "content": "sunny", "is_error": False},
        {"index": 3, "type": "text", "text": "It is sunny."},
    ]
    stored = (await alice.get(f"/api/threads/{answer['thread_id']}/messages")).json()["data"]
    assert stored[-1]["parts"] == answer["parts"]
    assert (await alice.get("/api/tools")).json()["data"] == [
        {
            "name": "weather",
            "description": "Does weather.",
            "parameters": {"type": "object", "properties": {}},
            "needs_approval": False,
        }
    ]
    api.model.then("And tomorrow?")
    await say(alice, "Thanks", thread_id=answer["thread_id"])
    prompt = api.model.calls[-1].prompt
    assert told(prompt)[-5:] == [
        ("user", "Hi"),
        ("assistant", "Hm. "),
        ("tool", "sunny"),
        ("assistant", "It is sunny."),
        ("user", "Thanks"),
    ]


async def test_a_stream_tells_calls_and_results_as_parts(apis: Apis):
    api = await with_tools(apis, Handled("weather", "sunny"))
    alice = await api.user("alice")
    api.model.then(*calling("weather"), ASKS)
    api.model.then("Sunny.")
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    stream = (await alice.post("/api/chat/protected", json=body)).text
    events = [json.loads(line.removeprefix("data: ")) for line in stream.split("\n") if line.startswith("data: ")]
    parts = [(e["type"], e["part"]["type"]) for e in events if e["type"] in {"part.started", "part.ended"}]
    assert parts == [
        ("part.started", "tool_call"),
        ("part.ended", "tool_call"),
        ("part.started", "tool_result"),
        ("part.ended", "tool_result"),
        ("part.started", "text"),
        ("part.ended", "text"),
    ]
    [call] = [e["part"] for e in events if e["type"] == "part.ended" and e["part"]["type"] == "tool_call"]
    assert (call["status"], call["needs_approval"]) == ("running", False)
    [result] = [e["part"] for e in events if e["type"] == "part.ended" and e["part"]["type"] == "tool_result"]
    assert result == {"type": "tool_result", "call_id": "c1", "is_error": False}


async def test_a_call_that_needs_approval_is_made_when_its_user_agrees_and_once(apis: Apis):
    pay = Handled("pay", "paid")
    api = await with_tools(apis, pay, tools_need_approval=("pay",))
    alice, bob = await api.user("alice"), await api.user("bob")
    api.model.then("Shall I? ", *calling("pay", amount=5), ASKS)
    asked = await say(alice)
    thread_id = asked["thread_id"]
    assert (asked["finish_reason"], pay.made) == ("tool_calls", [])
    [call] = [part for part in asked["parts"] if part["type"] == "tool_call"]
    assert (call["status"], call["needs_approval"]) == ("pending", True)
    assert await calls_in(alice, thread_id) == {"c1": "pending"}
    yes = {"decisions": [{"call_id": "c1", "approve": True}]}
    for client, status in ((bob, 404), (api.anonymous(), 401)):
        assert (await answer_calls(client, thread_id, **yes)).status_code == status
    api.model.then("Paid.")
    done = await answer_calls(alice, thread_id, **yes)
    assert (done.status_code, done.json()["response"]) == (200, "Paid.")
    assert done.json()["parts"][0] == {
        "index": 1,
        "type": "tool_result",
        "call_id": "c1",
        "content": "paid",
        "is_error": False,
    }
    assert [arguments for arguments, _ in pay.made] == [{"amount": 5}]
    assert told(api.model.calls[-1].prompt)[-2:] == [("assistant", "Shall I? "), ("tool", "paid")]
    assert await calls_in(alice, thread_id) == {"c1": "completed"}
    run = (await alice.get(f"/api/runs/{asked['run_id']}")).json()
    assert [part["status"] for part in run["parts"] if part["type"] == "tool_call"] == ["completed"]
    again = await answer_calls(alice, thread_id, **yes)
    assert (again.status_code, again.json()["run_id"]) == (200, done.json()["run_id"])
    refused = await answer_calls(alice, thread_id, decisions=[{"call_id": "c1", "approve": False}])
    assert (refused.status_code, refused.json()["code"]) == (409, "tool_calls_answered")
    assert len(pay.made) == 1


async def test_a_call_that_is_not_allowed_is_told_to_the_model(apis: Apis):
    pay = Handled("pay", about={"needs_approval": True})
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    thread_id = (await say(alice))["thread_id"]
    api.model.then("As you like.")
    done = await answer_calls(alice, thread_id, decisions=[{"call_id": "c1", "approve": False, "reason": "Too dear"}])
    assert done.json()["response"] == "As you like."
    role, text = told(api.model.calls[-1].prompt)[-1]
    assert role == "tool"
    assert "did not allow" in text
    assert "Too dear" in text
    assert pay.made == []
    assert await calls_in(alice, thread_id) == {"c1": "denied"}


async def test_a_tool_of_the_clients_is_carried_out_by_the_client(api: Api, alice: httpx.AsyncClient):
    api.model.then("Let me look. ", *calling("find", what="it"), *calling("find", "c2", what="more"), ASKS)
    asked = await say(alice, tools=[FIND], tool_choice="required")
    thread_id = asked["thread_id"]
    prompt = api.model.calls[-1].prompt
    assert [(tool.name, tool.by) for tool in prompt.tools] == [("find", "client")]
    assert prompt.generation.tool_choice == "required"
    assert await calls_in(alice, thread_id) == {"c1": "pending", "c2": "pending"}
    some = await answer_calls(alice, thread_id, outputs=[{"call_id": "c1", "content": "here"}])
    assert (some.status_code, some.json()["code"]) == (422, "tool_calls_open")
    assert "c2" in some.json()["detail"]
    api.model.then("Found.")
    outputs = [{"call_id": "c2", "content": "gone", "is_error": True}, {"call_id": "c1", "content": "here"}]
    done = await answer_calls(alice, thread_id, outputs=outputs)
    assert (done.status_code, done.json()["response"]) == (200, "Found.")
    assert told(api.model.calls[-1].prompt)[-3:] == [("assistant", "Let me look. "), ("tool", "here"), ("tool", "gone")]
    assert [tool.name for tool in api.model.calls[-1].prompt.tools] == ["find"], "as the first run of the turn"
    assert api.model.calls[-1].prompt.generation.tool_choice is None, "it has called what it had to"
    assert await calls_in(alice, thread_id) == {"c1": "completed", "c2": "failed"}
    messages = (await alice.get(f"/api/threads/{thread_id}/messages")).json()["data"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "assistant"]


async def test_results_may_come_as_messages_of_a_chat(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), ASKS)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    api.model.then("Found.")
    part = {"type": "tool_result", "call_id": "c1", "content": "here"}
    body = {"messages": [{"role": "tool", "content": [part]}], "thread_id": thread_id}
    assert (await alice.post("/api/chat/protected", json=body)).json()["response"] == "Found."


async def test_a_history_may_hold_calls_that_the_client_carried_out(api: Api, alice: httpx.AsyncClient):
    call = {"type": "tool_call", "id": "c1", "name": "find", "arguments": "{}"}
    result = {"type": "tool_result", "call_id": "c1", "content": "here"}
    messages = [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Wait."}, call]},
        {"role": "tool", "content": [result]},
    ]
    api.model.then("There.")
    body = {"messages": messages, "tools": [FIND]}
    answer = (await alice.post("/api/chat/protected", json=body)).json()
    assert answer["response"] == "There."
    assert told(api.model.calls[-1].prompt) == [("user", "Where?"), ("assistant", "Wait."), ("tool", "here")]
    assert await calls_in(alice, answer["thread_id"]) == {"c1": "completed"}
    body = {"messages": [*messages[:2], {"role": "user", "content": "Well?"}]}
    api.model.then("Hm.")
    await alice.post("/api/chat/protected", json=body)
    assert told(api.model.calls[-1].prompt)[-2:] == [("tool", "This tool was not called."), ("user", "Well?")]


async def test_a_message_instead_leaves_the_calls_unanswered(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), ASKS)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    api.model.then("Fine.")
    await say(alice, "Never mind", thread_id=thread_id)
    assert await calls_in(alice, thread_id) == {"c1": "not_executed"}
    late = await answer_calls(alice, thread_id, outputs=[{"call_id": "c1", "content": "here"}])
    assert (late.status_code, late.json()["code"]) == (409, "tool_calls_answered")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "outputs"),
        ({"outputs": [{"call_id": "c1"}]}, "outputs.0.content"),
        ({"outputs": [{"call_id": "c1", "content": 5}]}, "outputs.0.content"),
        ({"decisions": [{"call_id": "c1", "approve": "yes"}]}, "decisions.0.approve"),
        ({"decisions": [{"call_id": "c1", "approve": True}]}, "decisions.0.call_id"),
        ({"outputs": [{"call_id": "c1", "content": "a"}] * 2}, "outputs.1.call_id"),
        ({"outputs": [], "other": 1}, "*"),
    ],
)
async def test_a_wrong_answer_names_what_is_wrong(api: Api, alice: httpx.AsyncClient, said: dict, field: str):
    api.model.then(*calling("find"), ASKS)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    refused = await answer_calls(alice, thread_id, **said)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await calls_in(alice, thread_id) == {"c1": "pending"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [FIND, FIND]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [FIND] * 129}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "tool", "content": "42"}]}, "messages.0"),
        (
            {"messages": [{"role": "tool", "content": [{"type": "tool_result", "call_id": "c", "content": "4"}]}]},
            "messages",
        ),
    ],
)
async def test_a_wrong_request_names_what_is_wrong(alice: httpx.AsyncClient, body: dict, field: str):
    refused = await alice.post("/api/chat/protected", json={"messages": [{"role": "user", "content": "Hi"}], **body})
    assert refused.status_code == 422
    assert field in [error["field"] for error in refused.json()["errors"]], refused.text


async def test_who_may_use_what(apis: Apis):
    tools = [Handled("search"), Handled("shell"), Handled("shop__buy"), Handled("root", about={"scope": Scope.ADMIN})]
    api = await with_tools(apis, *tools, tools=("search", "admin:shell", "shop__*", "root"))

    async def may(client: httpx.AsyncClient) -> list[str]:
        return [tool["name"] for tool in (await client.get("/api/tools")).json()["data"]]

    assert await may(await api.user("alice")) == ["search", "shop__buy"]
    assert await may(await api.user("rita", admin=True)) == ["root", "search", "shell", "shop__buy"]
    await api.container.accounts().set_tools("alice", ("shop__*",))
    carol = await api.user("carol")
    await api.container.accounts().set_tools("carol", ())
    assert await may(carol) == []
    api.model.then(*calling("search"), ASKS)
    api.model.then("No.")
    answer = await say(carol)
    assert answer["response"] == ""
    assert answer["finish_reason"] == "stop", "nothing was offered, so nothing waits for anybody"
    assert tools[0].made == []


async def test_a_rule_by_which_no_tool_is_meant_is_told(apis: Apis):
    with logged() as out:
        await with_tools(apis, Handled("search"), tools=("search", "serch"), tools_need_approval=("pay", "*"))

        async def both() -> bool:
            return len(out.named("tool_rule_unused")) == 2

        await eventually(both)
    assert [line["rule"] for line in out.named("tool_rule_unused")] == ["pay", "serch"]


async def test_a_guest_has_no_tools(apis: Apis):
    weather = Handled("weather")
    api = await with_tools(apis, weather, anonymous_chat=True)
    api.model.then(*calling("weather"), ASKS)
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert (await api.anonymous().post("/api/chat", json=body)).status_code == 200
    assert (weather.made, api.model.calls[-1].prompt.tools) == ([], ())
    refused = await api.anonymous().post("/api/chat", json={**body, "tools": [FIND]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "tools")


async def test_a_call_that_was_approved_and_whose_run_failed_is_not_known(apis: Apis):
    pay = Handled("pay", "paid", Pause(), about={"needs_approval": True})
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    thread_id = (await say(alice))["thread_id"]
    yes = {"decisions": [{"call_id": "c1", "approve": True}]}
    going_on = asyncio.ensure_future(answer_calls(alice, thread_id, **yes))
    assert pay.waits is not None
    await pay.waits.reached()
    assert await calls_in(alice, thread_id) == {"c1": "running"}
    messages = (await alice.get(f"/api/threads/{thread_id}/messages")).json()["data"]
    await alice.post(f"/api/runs/{messages[-1]['run_id']}/cancel")
    assert (await going_on).json()["code"] == "run_cancelled"
    assert await calls_in(alice, thread_id) == {"c1": "unknown"}
    await say(alice, "Did you?", thread_id=thread_id)
    role, text = told(api.model.calls[-1].prompt)[-2]
    assert role == "tool"
    assert "not known" in text
