"""Calls as some providers name them, over the doors that clients answer them by."""

from typing import Any

import httpx
import pytest

from tests.support.api import MODEL, Api, Apis
from tests.support.turns import ASKS, Handled, calling, handled
from tests.unit.entrypoints.openai.responses.test_encoder import frames_of

LONG = "call_" + "thought" * 500
FIND = {"name": "find", "parameters": {"type": "object", "properties": {}}}
WIPE = Handled("wipe", about={"needs_approval": True})
HI = {"role": "user", "content": "Hi"}


@pytest.fixture
async def api(apis: Apis) -> Api:
    WIPE.made.clear()
    tools = handled(Handled("look"), WIPE)
    return await apis.start(swapped={"python_tools": tools})


@pytest.fixture
async def alice(api: Api) -> httpx.AsyncClient:
    return await api.user("alice")


async def posted(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_an_id_that_holds_what_its_provider_wants_back_is_answered_over_http(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find", LONG), *calling("wipe", f"{LONG}_2"), ASKS)
    api.model.then("Done.")
    tools = [{"type": "function", "function": FIND}]
    asked = await posted(alice, "/api/chat/protected", messages=[HI], tools=tools)
    said = {"outputs": [{"call_id": LONG, "content": "here"}], "decisions": [{"call_id": f"{LONG}_2", "approve": True}]}
    assert (await posted(alice, f"/api/threads/{asked['thread_id']}/tool-outputs", **said))["response"] == "Done."
    assert [message.call_id for message in api.model.calls[-1].prompt.messages][-2:] == [LONG, f"{LONG}_2"]


async def test_and_over_chat_completions(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find", LONG), ASKS)
    api.model.then("Done.")
    tools = [{"type": "function", "function": FIND}]
    asked = await posted(alice, "/v1/chat/completions", model=MODEL, messages=[HI], tools=tools)
    message = asked["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "here"}
    await posted(alice, "/v1/chat/completions", model=MODEL, messages=[HI, message, result], tools=tools)
    assert [message.call_id for message in api.model.calls[-1].prompt.messages][-1] == LONG


async def test_and_over_responses(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("find", LONG), *calling("wipe", f"{LONG}_2"), ASKS)
    api.model.then("Done.")
    tools = [{"type": "function", **FIND}]
    asked = await posted(alice, "/v1/responses", model=MODEL, input="Hi", tools=tools)
    call, request = asked["output"]
    answers = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "here"},
        {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True},
    ]
    await posted(alice, "/v1/responses", model=MODEL, input=answers, tools=tools, previous_response_id=asked["id"])
    assert [message.call_id for message in api.model.calls[-1].prompt.messages][-2:] == [LONG, f"{LONG}_2"]


async def test_a_name_that_no_tool_can_have_may_come_back_by_who_keeps_responses_itself(
    api: Api, alice: httpx.AsyncClient
):
    api.model.then(*calling("multi_tool_use.parallel"), ASKS)
    api.model.then("Done.")
    first = await posted(alice, "/v1/responses", model=MODEL, input="Hi", store=False)
    history = [{"role": "user", "content": "Hi"}, *first["output"], {"role": "user", "content": "And?"}]
    await posted(alice, "/v1/responses", model=MODEL, input=history, store=False)
    [asked] = [message for message in api.model.calls[-1].prompt.messages if message.calls]
    assert asked.calls[0].head["name"] == "multi_tool_use_parallel"


async def test_a_decision_on_a_call_that_has_left_the_history_is_none_on_its_namesake(
    api: Api, alice: httpx.AsyncClient
):
    """As a provider has it that counts the calls of each answer from one on."""
    api.model.then(*calling("wipe", "call_1", what="a file"), ASKS)
    api.model.then(*calling("wipe", "call_1", what="all"), ASKS)
    api.model.then("Done.")
    asked = await posted(alice, "/api/chat/protected", messages=[HI])
    again = await posted(alice, f"/api/runs/{asked['run_id']}/retry")
    path = f"/api/threads/{asked['thread_id']}/tool-outputs"
    stale = await alice.post(path, json={"decisions": [{"call_id": "call_1", "approve": True}]})
    assert (stale.status_code, stale.json()["code"], WIPE.made) == (409, "run_superseded", [])
    [call] = [part for part in again["parts"] if part["type"] == "tool_call"]
    assert (call["id"], call["status"]) == ("call_1_2", "pending")
    await posted(alice, path, decisions=[{"call_id": call["id"], "approve": True}])
    assert [arguments for arguments, _ in WIPE.made] == [{"what": "all"}]


async def test_a_call_without_arguments_is_json_over_responses(api: Api, alice: httpx.AsyncClient):
    start, _, end = calling("find")
    for _ in range(2):
        api.model.then(start, end, ASKS)
    tools = [{"type": "function", **FIND}]
    [call] = (await posted(alice, "/v1/responses", model=MODEL, input="Hi", tools=tools))["output"]
    assert call["arguments"] == "{}"
    body = {"model": MODEL, "input": "Hi", "tools": tools, "stream": True}
    events = frames_of((await alice.post("/v1/responses", json=body)).content)
    assert "".join(e["delta"] for e in events if e["type"].endswith("arguments.delta")) == "{}"
    [done] = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    [item] = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert (done["arguments"], item["arguments"]) == ("{}", "{}")
    assert events[-1]["response"]["output"] == [item]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
