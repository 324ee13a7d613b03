"""`POST /v1/responses` with outputs of the calls that wait, and what the user says behind them."""

from typing import Any

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamTimeout
from tests.api.test_openai_responses_tools import DROP, FIND, listed, output, refused, replayed, respond, said, types
from tests.support.api import MODEL, Api, Apis
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.turns import ASKS, calling, handled

AND: dict[str, Any] = {"role": "user", "content": "And in Rome?"}


@pytest.fixture
async def api(apis: Apis) -> Api:
    DROP.made.clear()
    return await apis.start(swapped={"python_tools": handled(DROP)})


@pytest.fixture(params=["previous_response_id", "conversation"])
def by(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def asking(api: Api, client: httpx.AsyncClient, *answers: Any) -> dict[str, Any]:
    """A response that waits for the output of `c1`."""
    api.model.then("Hm. ", *calling("find"), ASKS)
    for answer in answers or (("There.",),):
        api.model.then(*answer)
    return await respond(client, tools=[FIND])


def where(by: str, first: dict[str, Any]) -> dict[str, Any]:
    return {by: first["id"] if by == "previous_response_id" else first["conversation"]["id"]}


def told(api: Api) -> list[tuple[str, str]]:
    messages = api.model.calls[-1].prompt.messages
    return [(message.role.value, message.content) for message in messages if message.role.value != "system"]


ASKED = [("user", "Hi"), ("assistant", "Hm. "), ("tool", "found"), ("user", "And in Rome?")]


@pytest.mark.parametrize("given", [[output(), AND], [AND, output()]], ids=["behind", "before"])
async def test_one_response_answers_both(api: Api, alice: httpx.AsyncClient, by: str, given: list[Any]):
    first = await asking(api, alice)
    second = await respond(alice, given, tools=[FIND], metadata={"a": "b"}, **where(by, first))
    assert (said(second), second["metadata"], second["conversation"]) == ("There.", {"a": "b"}, first["conversation"])
    assert second["previous_response_id"] == (first["id"] if by == "previous_response_id" else None)
    assert (len(api.model.calls), told(api)) == (2, ASKED)
    await replayed(alice, second)
    inputs = await listed(alice, f"/v1/responses/{second['id']}/input_items")
    assert [item["type"] for item in inputs] == [
        "message", "message", "function_call", "function_call_output", "message"
    ]  # fmt: skip
    everything = await listed(alice, f"/v1/conversations/{first['conversation']['id']}/items")
    assert everything == [*inputs, *second["output"]]
    third = await respond(alice, "And now?", **where(by, second))
    assert third["status"] == "completed"


@pytest.mark.parametrize("live", [True, False])
async def test_under_its_key_it_is_the_same_response(api: Api, alice: httpx.AsyncClient, by: str, live: bool):
    pause = Pause()
    first = await asking(api, alice, ("The", pause, "re."))
    alice.headers["Idempotency-Key"] = "k"
    more = {"tools": [FIND], "background": True, **where(by, first)}
    second = await respond(alice, [output(), AND], **more)
    await pause.reached()
    if not live:
        pause.go_on()
        await eventually(lambda: ended(alice, second))
    again = await respond(alice, [output(), AND], **more)
    assert again["id"] == second["id"]
    assert await refused(alice, [output(), {**AND, "content": "And?"}], **more) == (
        400,
        "idempotency_key_reused",
        "Idempotency-Key",
    )
    del alice.headers["Idempotency-Key"]
    assert (await refused(alice, [output(), AND], **more))[0] == (409 if by == "previous_response_id" else 400)
    pause.go_on()
    await eventually(lambda: ended(alice, second))
    assert len(await listed(alice, f"/v1/responses/{second['id']}/input_items")) == 5
    assert len(api.model.calls) == 2


async def ended(client: httpx.AsyncClient, response: dict[str, Any]) -> bool:
    return bool((await client.get(f"/v1/responses/{response['id']}")).json()["status"] == "completed")


async def test_all_or_nothing(api: Api, alice: httpx.AsyncClient, by: str):
    api.model.then(*calling("find"), *calling("find", "c2"), *calling("files__drop", "c3"), ASKS)
    api.model.then("There.")
    first = await respond(alice, tools=[FIND])
    request = first["output"][2]["id"]
    yes = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    no = {**yes, "approve": False}
    at = where(by, first)
    for given, code, param in (
        ([output(), no, AND], "tool_calls_open", None),
        ([output(), output("c2"), yes, AND], "invalid_request", "input[2].approval_request_id"),
        ([output(), output("c2"), output(), no, AND], "invalid_request", "input[2].call_id"),
        ([output(), output("c2"), no, {**AND, "content": " "}], "invalid_request", "input[3].content"),
        ([output(), output("c2"), no, {**AND, "role": "system"}], "invalid_request", "input[3].role"),
        ([output(), output("c2"), no, AND, {**AND, "role": "assistant"}], "invalid_request", "input[4].role"),
    ):
        assert await refused(alice, given, **at) == (400, code, param), given
    assert len(await listed(alice, f"/v1/conversations/{first['conversation']['id']}/items")) == 4
    second = await respond(alice, [output(), output("c2"), no, AND, {**AND, "content": "Well?"}], **at)
    assert (said(second), DROP.made) == ("There.", [])
    assert [content for role, content in told(api) if role == "user"] == ["Hi", "And in Rome?\n\nWell?"]
    kinds = [item["type"] for item in await listed(alice, f"/v1/responses/{second['id']}/input_items")]
    assert kinds[-5:] == ["function_call_output", "function_call_output", "mcp_approval_response", "message", "message"]


async def test_what_failed_is_said_again_by_itself(api: Api, alice: httpx.AsyncClient):
    first = await asking(api, alice, (UpstreamTimeout(),), ("There.",))
    at = where("previous_response_id", first)
    failed = await alice.post("/v1/responses", json={"model": MODEL, "input": [output(), AND], **at})
    assert failed.status_code == 504
    assert await refused(alice, [output(), AND], **at) == (409, "tool_calls_answered", None)
    again = await respond(alice, [AND], **at)
    assert (said(again), told(api)) == ("There.", ASKED)


async def test_the_calls_are_done_for_who_looks_through_another_door(api: Api, alice: httpx.AsyncClient):
    first = await asking(api, alice)
    await respond(alice, [output(), AND], **where("previous_response_id", first))
    thread = "thr_" + first["conversation"]["id"].removeprefix("conv_")
    messages = (await alice.get(f"/api/threads/{thread}/messages")).json()["data"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user", "assistant"]
    assert messages[1]["parts"][-1]["status"] == "completed"
    shown = (await alice.get(f"/api/ai-sdk/{thread}/messages")).json()
    assert [message["role"] for message in shown["data"]] == ["user", "assistant", "user", "assistant"]
    assert shown["data"][1]["parts"][-1]["output"] == "found"


async def test_one_of_the_two_responses_is_deleted(api: Api, alice: httpx.AsyncClient):
    first = await asking(api, alice)
    second = await respond(alice, [output(), AND], **where("previous_response_id", first))
    assert (await alice.delete(f"/v1/responses/{first['id']}")).status_code == 200
    items = await listed(alice, f"/v1/conversations/{first['conversation']['id']}/items")
    assert [item["content"][0]["text"] for item in items] == ["And in Rome?", "There."]
    assert types((await alice.get(f"/v1/responses/{second['id']}")).json()) == ["message"]
