"""Tools over `/v1/responses` and `/v1/conversations`: the client's, the operator's, and approval."""

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.support.api import MODEL, Api, Apis
from tests.support.turns import ASKS, Handled, calling, handled
from tests.unit.entrypoints.openai.responses.test_encoder import frames_of

FIND = {"type": "function", "name": "find", "description": "Finds.", "parameters": {"type": "object"}, "strict": True}
DROP = Handled("files__drop", "gone", about={"needs_approval": True})


def output(call_id: str = "c1", said: Any = "found") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


async def respond(client: httpx.AsyncClient, given: Any = "Hi", **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/responses", json={"model": MODEL, "input": given, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, given: Any = "Hi", **more: Any) -> tuple[int, str, str | None]:
    answer = await client.post("/v1/responses", json={"model": MODEL, "input": given, **more})
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def types(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


def said(response: dict[str, Any]) -> str:
    return "".join(item["content"][0]["text"] for item in response["output"] if item["type"] == "message")


async def listed(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    there = (await client.get(f"{path}?order=asc&limit=100")).json()["data"]
    back = (await client.get(f"{path}?order=desc&limit=100")).json()["data"]
    assert back == there[::-1]
    paged: list[dict[str, Any]] = []
    while len(paged) < len(there):
        after = f"&after={paged[-1]['id']}" if paged else ""
        paged += (await client.get(f"{path}?order=asc&limit=1{after}")).json()["data"]
    assert paged == there
    return there


async def replayed(client: httpx.AsyncClient, response: dict[str, Any]) -> list[dict[str, Any]]:
    """Its events, from every number on; and it is read as it was told."""
    path = f"/v1/responses/{response['id']}"
    events = frames_of((await client.get(f"{path}?stream=true")).content)
    for number in range(len(events) - 1):
        assert (
            frames_of((await client.get(f"{path}?stream=true&starting_after={number}")).content)
            == (events[number + 1 :])
        )
    read = (await client.get(path)).json()
    assert {**read, "completed_at": None} == {**response, "completed_at": None}
    assert events[-1]["response"] == {**read, "completed_at": None}
    return events


@pytest.fixture
async def api(apis: Apis) -> Api:
    DROP.made.clear()
    return await apis.start(swapped={"python_tools": handled(DROP, Handled("weather", "sunny"))})


@pytest.fixture
async def alice(api: Api) -> httpx.AsyncClient:
    return await api.user("alice")


async def test_a_function_is_called_and_the_response_goes_on(api: Api, alice: httpx.AsyncClient):
    api.model.then("Hm. ", *calling("find", q="x"), *calling("find", "c2"), ASKS)
    api.model.then("It is there.")
    first = await respond(alice, tools=[FIND], tool_choice="required", parallel_tool_calls=False, metadata={"a": "b"})
    assert (first["status"], types(first)) == ("completed", ["message", "function_call", "function_call"])
    assert first["output"][1]["arguments"] == '{"q": "x"}'
    assert (first["tools"], first["tool_choice"], first["parallel_tool_calls"]) == ([FIND], "required", False)
    await replayed(alice, first)
    outputs = [output("c2", [{"type": "input_text", "text": "fo"}, {"type": "input_text", "text": "und"}]), output()]
    more = {"tools": [FIND], "previous_response_id": first["id"], "metadata": {"a": "b"}}
    second = await respond(alice, outputs, **more)
    assert said(second) == "It is there."
    assert (second["previous_response_id"], second["metadata"]) == (first["id"], {"a": "b"})
    again = await respond(alice, outputs, **more)
    assert {**again, "completed_at": None} == {**second, "completed_at": None}
    await replayed(alice, second)
    asked = api.model.calls[-1].prompt
    assert [(m.role.value, m.content) for m in asked.messages][-3:] == [
        ("assistant", "Hm. "), ("tool", "found"), ("tool", "found")
    ]  # fmt: skip
    inputs = await listed(alice, f"/v1/responses/{second['id']}/input_items")
    assert [item["type"] for item in inputs] == [
        "message", "message", "function_call", "function_call", "function_call_output", "function_call_output"
    ]  # fmt: skip
    assert [item["call_id"] for item in inputs[2:]] == ["c1", "c2", "c1", "c2"]
    everything = await listed(alice, f"/v1/conversations/{first['conversation']['id']}/items")
    assert everything == [*inputs, *second["output"]]
    for item in everything:
        path = f"/v1/conversations/{first['conversation']['id']}/items/{item['id']}"
        assert (await alice.get(path)).json() == item


async def test_calls_of_ours_are_shown_and_need_nobody(api: Api, alice: httpx.AsyncClient):
    api.model.then("Hm. ", *calling("weather", city="Rome"), ASKS)
    api.model.then("It is sunny.")
    response = await respond(alice, store=False)
    assert types(response) == ["message", "mcp_call", "message"]
    call = response["output"][1]
    assert (call["name"], call["server_label"], call["output"], call["status"]) == (
        "weather", "chatorch", "sunny", "completed"
    )  # fmt: skip
    await replayed(alice, response)
    api.model.then("Still.")
    again = [{"role": "user", "content": "Hi"}, *response["output"], {"role": "user", "content": "And now?"}]
    assert said(await respond(alice, again, store=False)) == "Still."
    told = [(m.role.value, m.content) for m in api.model.calls[-1].prompt.messages if m.role.value != "system"]
    assert told == [
        ("user", "Hi"), ("assistant", "Hm. "), ("tool", "sunny"), ("assistant", "It is sunny."), ("user", "And now?")
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["previous_response_id", "conversation"])
async def test_a_call_waits_for_approval_by_an_id_that_leads_to_it(api: Api, alice: httpx.AsyncClient, by: str):
    api.model.then(*calling("files__drop", all=True), *calling("find", "c2"), ASKS)
    api.model.then("Gone.")
    conversation = {"conversation": (await alice.post("/v1/conversations", json={})).json()["id"]}
    started = conversation if by == "conversation" else {}
    first = await respond(alice, tools=[FIND], **started)
    assert types(first) == ["mcp_approval_request", "function_call"]
    request = first["output"][0]
    assert (request["name"], request["server_label"], request["arguments"]) == ("drop", "files", '{"all": true}')
    await replayed(alice, first)
    where = conversation if by == "conversation" else {"previous_response_id": first["id"]}
    yes = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    answer = await alice.post("/v1/responses", json={"input": [output("c2")], **where})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "tool_calls_open")
    assert request["id"] in error["message"]
    assert not DROP.made
    second = await respond(alice, [output("c2"), yes], **where)
    assert (types(second), said(second)) == (["mcp_call", "message"], "Gone.")
    call = second["output"][0]
    assert (call["approval_request_id"], call["name"], call["output"]) == (request["id"], "drop", "gone")
    assert second["previous_response_id"] == (None if by == "conversation" else first["id"])
    events = await replayed(alice, second)
    assert "response.mcp_call.completed" in [event["type"] for event in events]
    assert (await respond(alice, [yes, output("c2")], **where))["id"] == second["id"]
    assert len(DROP.made) == 1
    items = await listed(alice, f"/v1/conversations/{second['conversation']['id']}/items")
    assert [item["type"] for item in items] == [
        "message", "mcp_approval_request", "function_call", "function_call_output", "mcp_call", "message"
    ]  # fmt: skip


async def test_the_package_asks_for_approval_and_goes_on(api: Api, alice: httpx.AsyncClient):
    """openai-python, unmodified: what is shown of a call of ours it neither carries out nor stumbles over."""
    api.model.then(*calling("weather", city="Rome"), ASKS)
    api.model.then("Sunny. ", *calling("files__drop"), ASKS)
    api.model.then("Gone.")
    package = AsyncOpenAI(base_url=f"{alice.base_url}/v1", api_key="-", http_client=alice, max_retries=0)
    headers = {"Authorization": alice.headers["Authorization"]}
    asked: Any = {"model": MODEL, "extra_headers": headers}
    async with package.responses.stream(**asked, input="Drop it.") as stream:
        told = [event.type async for event in stream]
        first = await stream.get_final_response()
    assert {"response.mcp_call.in_progress", "response.mcp_call.completed"} <= {*told}
    assert first.output_text == "Sunny. "
    [request] = [item for item in first.output if item.type == "mcp_approval_request"]
    yes: Any = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    second = await package.responses.create(**asked, input=[yes], previous_response_id=first.id)
    [call] = [item for item in second.output if item.type == "mcp_call"]
    assert (call.output, call.approval_request_id, second.output_text) == ("gone", request.id, "Gone.")
    listed = [item async for item in package.responses.input_items.list(second.id, order="asc", extra_headers=headers)]
    assert [item.type for item in listed] == ["message", "mcp_call", "message", "mcp_approval_request"]


async def test_what_is_denied_is_not_done(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("files__drop"), ASKS)
    api.model.then("Well then.")
    first = await respond(alice)
    request = first["output"][0]["id"]
    no = {"type": "mcp_approval_response", "approval_request_id": request, "approve": False, "reason": "Never."}
    second = await respond(alice, [no], previous_response_id=first["id"])
    assert (said(second), DROP.made) == ("Well then.", [])
    assert "Never." in api.model.calls[-1].prompt.messages[-1].content
    [_, _, denial, _] = await listed(alice, f"/v1/conversations/{second['conversation']['id']}/items")
    assert (denial["type"], denial["approval_request_id"], denial["approve"]) == (
        "mcp_approval_response", request, False
    )  # fmt: skip
    error = await refused(alice, [{**no, "approve": True}], previous_response_id=first["id"])
    assert error[:2] == (409, "tool_calls_answered")


async def test_of_a_call_that_cannot_be_made_only_the_model_hears(api: Api, alice: httpx.AsyncClient):
    start, _, end = calling("files__drop")
    api.model.then("Hm. ", start, "{nonsense", end, ASKS)
    api.model.then("Never mind.")
    response = await respond(alice)
    assert (response["status"], types(response)) == ("completed", ["message", "message"])
    await replayed(alice, response)
    assert "not JSON" in api.model.calls[1].prompt.messages[-1].content
    assert DROP.made == []


async def test_nobody_could_approve_where_nothing_is_kept(api: Api, alice: httpx.AsyncClient):
    api.model.then("No.")
    await respond(alice, store=False)
    assert "files__drop" not in [tool.name for tool in api.model.calls[-1].prompt.tools]


async def test_a_message_instead_of_answers_leaves_the_calls(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), ASKS)
    api.model.then("Well.")
    first = await respond(alice, tools=[FIND])
    second = await respond(alice, "Never mind.", previous_response_id=first["id"])
    assert said(second) == "Well."
    error = await refused(alice, [output()], previous_response_id=first["id"])
    assert error[:2] == (409, "tool_calls_answered")


async def test_a_client_that_keeps_its_history_brings_calls_and_outputs(api: Api, alice: httpx.AsyncClient):
    api.model.then("Hm. ", *calling("find"), *calling("find", "c2"), ASKS)
    api.model.then("There.")
    first = await respond(alice, tools=[FIND], store=False)
    history = [{"role": "user", "content": "Hi"}, *first["output"], output(), output("c2", "")]
    second = await respond(alice, history, tools=[FIND], store=False, metadata={"a": "b"})
    assert said(second) == "There."
    asked = [message for message in api.model.calls[-1].prompt.messages if message.role.value != "system"]
    assert [(m.role.value, m.content, len(m.calls)) for m in asked] == [
        ("user", "Hi", 0), ("assistant", "Hm. ", 2), ("tool", "found", 0), ("tool", "", 0)
    ]  # fmt: skip
    read = (await alice.get(f"/v1/responses/{second['id']}")).json()
    assert (read["metadata"], read["store"]) == ({"a": "b"}, False)
    items = await listed(alice, f"/v1/responses/{second['id']}/input_items")
    assert [item["type"] for item in items] == [
        "message", "message", "function_call", "function_call", "function_call_output", "function_call_output"
    ]  # fmt: skip
    assert len({item["id"] for item in items}) == 6


NOT_HONOURED: list[tuple[dict[str, Any], str]] = [
    *(({"tools": [FIND, {"type": kind}]}, "tools[1].type") for kind in ("web_search", "mcp", "custom", None, 1)),
    ({"tools": [{**FIND, "name": "a b"}]}, "tools[0].name"),
    ({"tools": [{**FIND, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [FIND, FIND]}, "tools"),
    ({"tools": ["find"]}, "tools[0]"),
    ({"tools": [FIND], "tool_choice": "always"}, "tool_choice"),
    ({"tools": [FIND], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.type"),
    ({"tools": [FIND], "tool_choice": {"type": "function"}}, "tool_choice"),
    ({"max_tool_calls": 3}, "max_tool_calls"),
    ({"given": [output()]}, "input[0].call_id"),
    ({"given": [{"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}]}, "input[0].type"),
    ({"given": [{"type": "function_call_output", "call_id": "c", "output": 1}]}, "input[0].output"),
    ({"given": [{**output(), "output": [{"type": "input_image"}]}]}, "input[0].output[0].type"),
    ({"given": [{"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
    ({"given": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]}, "input[0].arguments"),
    ({"given": [{"type": "web_search_call", "id": "c"}]}, "input[0].type"),
]


async def test_what_cannot_be_honoured_is_named(alice: httpx.AsyncClient):
    for more, param in NOT_HONOURED:
        status, _, named = await refused(alice, **more)
        assert (status, named) == (400, param), more


async def test_answers_to_what_does_not_wait_are_named(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), *calling("files__drop", "c2"), ASKS)
    first = await respond(alice, tools=[FIND])
    where = {"previous_response_id": first["id"]}
    request = first["output"][1]["id"]
    yes = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    for given, param in (
        ([output("other")], "input[0].call_id"),
        ([output("c2")], "input[0].call_id"),
        ([output(), output(), yes], "input[1].call_id"),
        ([{**yes, "approval_request_id": "c2"}], "input[0].approval_request_id"),
        ([{**yes, "approval_request_id": request + "0"}], "input[0].approval_request_id"),
        ([{**yes, "approve": "yes"}], "input[0].approve"),
        ([output(), yes, {"role": "user", "content": "And?"}], "input[1].approval_request_id"),
    ):
        assert (await refused(alice, given, **where))[::2] == (400, param), given
    assert (await refused(alice, [output(), yes], **where, metadata={"a": "b"}))[2] == "metadata"
    bob = await api.user("bob")
    assert (await refused(bob, [output(), yes], **where))[1] == "previous_response_not_found"
    assert (await refused(bob, [output()], conversation=first["conversation"]["id"]))[0] == 404


async def test_a_conversation_takes_messages_only(alice: httpx.AsyncClient):
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    for items in ([call], [output()], [call, output("c")]):
        answer = await alice.post("/v1/conversations", json={"items": items})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "items[0].type")


async def test_what_is_asked_with_the_answers_is_honoured(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), ASKS)
    api.model.then("Yes.")
    first = await respond(alice, tools=[FIND], instructions="Be brief.")
    more = {"instructions": "Be kind.", "temperature": 0.5, "tools": [{**FIND, "name": "look"}], "background": True}
    queued = await respond(alice, [output()], previous_response_id=first["id"], **more)
    events = frames_of((await alice.get(f"/v1/responses/{queued['id']}?stream=true")).content)
    response = events[-1]["response"]
    assert (response["instructions"], response["temperature"], response["background"]) == ("Be kind.", 0.5, True)
    prompt = api.model.calls[-1].prompt
    assert [tool.name for tool in prompt.tools if tool.name in ("find", "look")] == ["look"]
    assert "Be kind." in prompt.messages[0].content
    assert "Be brief." not in json.dumps([message.content for message in prompt.messages])


async def test_a_response_is_deleted_without_the_turn_that_it_is_of(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find"), ASKS)
    api.model.then("Yes.")
    first = await respond(alice, tools=[FIND])
    second = await respond(alice, [output()], previous_response_id=first["id"])
    assert (await alice.delete(f"/v1/responses/{first['id']}")).status_code == 200
    assert (await alice.get(f"/v1/responses/{first['id']}")).status_code == 404
    assert said((await alice.get(f"/v1/responses/{second['id']}")).json()) == "Yes."
    assert (await alice.delete(f"/v1/responses/{second['id']}")).status_code == 200
    assert (await alice.get(f"/v1/responses/{second['id']}")).status_code == 404
