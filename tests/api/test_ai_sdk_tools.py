"""Turns with tools over the AI SDK's door: one message to the client, however many runs they take."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.test_ai_sdk import DOOR, body, refused, send, shown, user
from tests.support.api import Api, Apis, done, watched
from tests.support.fakes import Pause
from tests.support.turns import ASKS, SCHEMA, Handled, calling, handled
from tests.support.ui_message import UiMessage, chunks

TOOLS = [{"type": "function", "function": {"name": "where", "parameters": SCHEMA}}]


async def serving(apis: Apis, *tools: Handled) -> tuple[Api, httpx.AsyncClient]:
    api = await apis.start(swapped={"python_tools": handled(*tools)})
    return api, await api.user("alice")


def buy(says: Any = '{"bought": 1}', **members: Any) -> Handled:
    return Handled("buy", says, about={"needs_approval": True}, **members)


def tool_parts(message: UiMessage) -> list[dict[str, Any]]:
    return [part for part in message.parts if "toolCallId" in part]


def with_said(message: UiMessage, **said: Any) -> dict[str, Any]:
    """The assistant's message, as the client changes it before it sends it: of each call, what it says to it."""
    parts = [{**part, **said.get(part.get("toolCallId", ""), {})} for part in message.parts]
    return {"id": message.id, "role": "assistant", "parts": parts}


def decided(approved: bool, call_id: str = "c1", **reason: str) -> dict[str, Any]:
    approval = {"id": call_id, "approved": approved, **reason}
    return {"state": "approval-responded", "approval": approval}


def output(value: Any) -> dict[str, Any]:
    return {"state": "output-available", "output": value}


async def goes_on(
    client: httpx.AsyncClient, message: UiMessage, *, v: int = 7, **said: Any
) -> tuple[httpx.Response, UiMessage]:
    """The client's message once it has sent what it says to the calls."""
    told = with_said(message, **said)
    answer = await client.post(DOOR, params={"v": v}, json=body(user("Hi"), told, messageId=message.id))
    assert answer.status_code == 200, answer.text
    return answer, UiMessage(v, message.id, parts=told["parts"]).take(answer.content)


async def test_a_server_tool_is_told_as_its_providers_in_steps(apis: Apis):
    api, alice = await serving(apis, Handled("find", '{"found": [1]}', progress=({"at": 1}, {"at": 2})))
    api.model.then("Well. ", *calling("find", q="é"), ASKS)
    api.model.then("One.")
    message = await send(alice, user("Hi"))
    known = {"toolCallId": "c1", "input": {"q": "é"}, "providerExecuted": True}
    assert message.parts == [
        {"type": "step-start"},
        {"type": "text", "text": "Well. ", "state": "done"},
        {"type": "dynamic-tool", "toolName": "find", **known, "state": "output-available", "output": {"found": [1]}},
        {"type": "data-find", "id": "c1", "data": {"at": 2}},
        {"type": "step-start"},
        {"type": "text", "text": "One.", "state": "done"},
    ]
    assert ((message.end or {})["finishReason"], message.to_do) == ("stop", [])
    assert (await shown(alice))[1]["parts"] == message.parts


@pytest.mark.parametrize("value", [{"at": ["Rome"]}, "Rome", "42", "", None, 3, '{"a": 1}'])
async def test_a_clients_tool_is_its_own_and_its_output_goes_on_with_the_message(
    api: Api, alice: httpx.AsyncClient, value: Any
):
    api.model.then("Hm. ", *calling("where"), ASKS)
    api.model.then("Rome it is.")
    first = await send(alice, user("Hi"), tools=TOOLS, tool_choice="auto")
    [call] = tool_parts(first)
    assert (call["type"], call["state"], call["providerExecuted"]) == ("tool-where", "input-available", False)
    assert ((first.end or {})["finishReason"], first.to_do) == ("tool-calls", ["c1"])
    assert (await shown(alice))[1]["parts"] == first.parts
    answer, message = await goes_on(alice, first, c1=output(value))
    assert chunks(answer.content)[0]["messageId"] == first.id
    assert [part["type"] for part in message.parts] == ["step-start", "text", "tool-where", "step-start", "text"]
    [_, stored] = await shown(alice)
    assert (stored["id"], stored["parts"]) == (first.id, message.parts)
    assert stored["metadata"]["run_id"] == message.metadata["run_id"] != first.metadata["run_id"]
    assert message.to_do == []


async def test_a_clients_tool_may_fail(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("where"), ASKS)
    api.model.then("Somewhere.")
    first = await send(alice, user("Hi"), tools={"where": {"description": "Where", "parameters": SCHEMA}})
    _, message = await goes_on(alice, first, c1={"state": "output-error", "errorText": "No leave."})
    assert (await shown(alice))[1]["parts"] == message.parts
    assert api.model.calls[1].prompt.messages[-1].content == "No leave."


@pytest.mark.parametrize("v", [6, 7])
@pytest.mark.parametrize("reason", [{}, {"reason": "Too much."}])
async def test_what_is_not_allowed_is_denied(apis: Apis, v: int, reason: dict[str, str]):
    tool = buy()
    api, alice = await serving(apis, tool)
    api.model.then(*calling("buy", n=1), ASKS)
    api.model.then("Well.")
    first = await send(alice, user("Hi"), v=v)
    [call] = tool_parts(first)
    assert (call["state"], call["approval"], call["providerExecuted"]) == ("approval-requested", {"id": "c1"}, False)
    assert (await shown(alice))[1]["parts"] == first.parts
    _, message = await goes_on(alice, first, v=v, c1=decided(False, **reason))
    [call] = tool_parts(message)
    assert (call["state"], call["approval"]) == ("output-denied", {"id": "c1", "approved": False, **reason})
    assert (await shown(alice))[1]["parts"] == message.parts
    assert tool.made == []


@pytest.mark.parametrize("says", ['{"bought": 1}', RuntimeError("no")])
async def test_what_is_allowed_is_made(apis: Apis, says: Any):
    tool = buy(says, progress=("now",))
    api, alice = await serving(apis, tool)
    api.model.then(*calling("buy", n=1), ASKS)
    api.model.then("Done.")
    first = await send(alice, user("Hi"))
    _, message = await goes_on(alice, first, c1=decided(True))
    kinds = ["step-start", "dynamic-tool", "step-start", "data-buy", "text"]
    assert [part["type"] for part in message.parts] == kinds
    assert (await shown(alice))[1]["parts"] == message.parts
    assert len(tool.made) == 1


async def test_a_turn_that_asks_again_and_again_is_one_message(apis: Apis):
    api, alice = await serving(apis, buy("ok"), Handled("find", "found"))
    api.model.then("One. ", *calling("buy", "c1"), *calling("find", "c2"), *calling("where", "c3"), ASKS)
    api.model.then("Two. ", *calling("find", "c4"), ASKS)
    api.model.then("Three. ", *calling("buy", "c5"), ASKS)
    api.model.then("Four.")
    first = await send(alice, user("Hi"), tools=TOOLS)
    assert [part["state"] for part in tool_parts(first)] == [
        *("approval-requested", "output-available", "input-available")
    ]
    with_some = with_said(first, c3=output(1))
    assert "wait for an answer" in await refused(alice, 422, user("Hi"), with_some)
    _, second = await goes_on(alice, first, c1=decided(True), c3=output({"at": 1}))
    _, third = await goes_on(alice, second, c5=decided(False, "c5"))
    [_, stored] = await shown(alice)
    assert (stored["id"], stored["parts"]) == (first.id, third.parts)
    assert len(api.model.calls) == 4
    api.model.then("Anew.")
    again = await send(alice, user("Hi"), trigger="regenerate-message")
    assert [message["id"] for message in await shown(alice)] == ["u1", again.id]


@pytest.mark.parametrize("v", [6, 7])
async def test_who_comes_back_in_a_later_run_is_told_the_turn_from_its_start(apis: Apis, v: int):
    pause = Pause()
    api, alice = await serving(apis, buy("ok"), Handled("find", "found"))
    api.model.then("One. ", *calling("buy", "c1"), *calling("where", "c2"), *calling("find", "c3"), ASKS)
    api.model.then("Two. ", pause, "and so.")
    first = await send(alice, user("Hi"), tools=TOOLS, v=v)
    answering = asyncio.ensure_future(goes_on(alice, first, v=v, c1=decided(True), c2=output("Rome")))
    await pause.reached()
    [_, loaded] = await shown(alice)
    assert [part.get("state") for part in loaded["parts"]] == [
        *(None, "done", "approval-responded", "output-available", "output-available")
    ]
    back = asyncio.ensure_future(alice.get(f"{DOOR}/chat/stream", params={"v": v}))
    await watched(api, 2)
    pause.go_on()
    _, message = await answering
    replayed = UiMessage(v).take((await done(back)).content)
    if v == 6:  # it cannot be told of a decision
        del tool_parts(message)[0]["approval"]
    assert (replayed.id, replayed.parts, replayed.to_do) == (first.id, message.parts, [])


async def test_answers_that_come_twice_count_once_and_late_ones_not_at_all(apis: Apis):
    tool = buy("ok")
    api, alice = await serving(apis, tool)
    api.model.then(*calling("buy"), ASKS)
    api.model.then("Done.")
    api.model.then("And?")
    first = await send(alice, user("Hi"))
    one, message = await goes_on(alice, first, c1=decided(True))
    two, again = await goes_on(alice, first, c1=decided(True))
    assert (one.content, message.parts) == (two.content, again.parts)
    assert len(tool.made) == 1
    late = await alice.post(DOOR, json=body(user("Hi"), with_said(first, c1=decided(False))))
    assert (late.status_code, late.headers["content-type"]) == (409, "text/plain; charset=utf-8")
    await send(alice, user("Go on", "u2"))
    await refused(alice, 409, user("Hi"), with_said(first, c1=decided(False)))
    [thread] = (await alice.get("/api/threads")).json()["data"]
    assert len((await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]) >= 5


async def test_a_message_instead_of_answers_leaves_the_calls_undone(apis: Apis):
    tool = buy()
    api, alice = await serving(apis, tool)
    api.model.then(*calling("buy", "c1"), *calling("where", "c2"), ASKS)
    api.model.then("Fine.")
    first = await send(alice, user("Hi"), tools=TOOLS)
    await send(alice, user("Never mind", "u2"))
    [_, left, _, _] = await shown(alice)
    assert [(part["state"], part["errorText"]) for part in left["parts"][1:]] == [
        ("output-error", "This call was not carried out.")
    ] * 2
    await refused(alice, 409, user("Hi"), with_said(first, c1=decided(True), c2=output(1)))
    assert tool.made == []


async def test_arguments_that_are_no_json_go_back_to_the_model(api: Api, alice: httpx.AsyncClient):
    start, _, end = calling("where")
    api.model.then(start, "{nonsense", end, ASKS)
    api.model.then("Sorry.")
    first = await send(alice, user("Hi"), tools=TOOLS)
    [call] = tool_parts(first)
    assert (call["state"], call["input"], first.to_do) == ("output-error", "{nonsense", [])
    _, message = await goes_on(alice, first)
    assert (await shown(alice))[1]["parts"] == message.parts
    assert "not JSON" in api.model.calls[1].prompt.messages[-1].content


async def test_a_turn_is_never_cut_by_a_page_of_history(api: Api, alice: httpx.AsyncClient):
    api.model.then(*calling("where"), ASKS)
    api.model.then("Rome.")
    api.model.then("Bye.")
    first = await send(alice, user("Hi"), tools=TOOLS)
    _, message = await goes_on(alice, first, c1=output(1))
    await send(alice, user("And?", "u2"))
    whole = await shown(alice)
    page: dict[str, Any] = {"after": None, "has_more": True}
    found: list[dict[str, Any]] = []
    while page["has_more"]:
        after = {"after": page["after"]} if page["after"] else {}
        page = (await alice.get(f"{DOOR}/chat/messages", params={"limit": 1, **after})).json()
        found = page["data"] + found
    assert found == whole
    assert (len(whole), whole[1]["parts"]) == (4, message.parts)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"state": "approval-responded"}, "messages.1.parts.1.approval.approved"),
        (
            {"state": "approval-responded", "approval": {"approved": True, "reason": 1}},
            "messages.1.parts.1.approval.reason",
        ),
        ({"state": "output-available", "toolCallId": 1}, "messages.1.parts.1.toolCallId"),
        ({"state": "input-available"}, "results of tools"),
        ({"state": "output-available", "providerExecuted": True}, "results of tools"),
    ],
)
async def test_what_is_no_answer_is_named(api: Api, alice: httpx.AsyncClient, part: dict[str, Any], named: str):
    api.model.then(*calling("where"), ASKS)
    first = await send(alice, user("Hi"), tools=TOOLS)
    told = with_said(first)
    told["parts"][1] |= {"providerExecuted": False, **part}
    assert named in await refused(alice, 422, user("Hi"), told)


async def test_another_users_calls_are_not_there(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    api.model.then(*calling("where"), ASKS)
    first = await send(alice, user("Hi"), tools=TOOLS)
    await refused(bob, 404, user("Hi"), with_said(first, c1=output(1)), chat=first.metadata["thread_id"])
    await refused(bob, 404, user("Hi"), with_said(first, c1=output(1)))
