"""Tools over chat completions, by the clients that people have: each carries out its own, in its own loop."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import NewClient, by_name
from tests.clients.openai_chat import Clients, asked, at, detail
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.installed_tools import install_tools
from tests.support.lossy_line import LossyLine
from tests.support.server import Server, serving
from tests.support.sockets import calling
from tests.support.upstream import Step, Upstream, finish, hang, pause, text, usage
from tests.support.upstream_parts import says

FILES = {
    "openai-node": "openai.mjs",
    "openai-python": "openai_python.py",
    "LangChain": "langchain_chat.py",
    "pydantic-ai": "pydantic_ai_chat.py",
    "Agents SDK": "agents_sdk.py",
}
WAYS = [(name, by) for name in FILES for by in ("create", "stream")] + [("openai-python", "parse")]


@pytest.fixture(scope="module")
def looping(new_client: NewClient) -> Clients:
    return by_name(new_client, FILES)


def asks(*calls: tuple[str, str, str]) -> list[Step]:
    """One step of a model that calls each of these (id, name, arguments) side by side, in pieces."""
    steps = [step for index, call in enumerate(calls) for step in _call(index, *call)]
    return [*steps, finish("tool_calls"), usage()]


def _call(index: int, ident: str, name: str, arguments: str) -> list[Step]:
    begins = {"index": index, "id": ident, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [{"index": index, "function": {"arguments": piece}} for piece in (arguments[:5], arguments[5:])]
    return [says(tool_calls=[each]) for each in (begins, *pieces)]


TURN = (
    [
        text("Let me look. "),
        *asks(("call_1", "weather", '{"city": "Ålesund"}'), ("call_2", "weather", '{"city": "O"}')),
    ],
    asks(("call_1", "now", "")),  # this model numbers its calls from one on
    [text("Sunny ", "at noon."), finish(), usage()],
)
CALLED = [["weather", {"city": "Ålesund"}], ["weather", {"city": "O"}], ["now", {}]]


@pytest.mark.parametrize(("name", "by"), WAYS)
async def test_a_client_carries_out_its_own_calls_in_its_own_loop(
    looping: Clients, server: Server, upstream: Upstream, name: str, by: str
):
    model = upstream.model(*TURN)
    shown = await looping(name).value("loop", **at(server, server.tokens["alice"], model), by=by)
    assert shown["text"] == "Sunny at noon."
    assert sorted(shown["called"], key=json.dumps) == sorted(CALLED, key=json.dumps)
    first, *_, last = [request.body for request in upstream.seen(model)]
    assert {tool["function"]["name"] for tool in first["tools"]} == {"weather", "now"}
    _, looking, *results = [message for message in last["messages"] if message["role"] != "system"]
    assert looking["content"] == "Let me look. "
    arguments = [json.loads(call["function"]["arguments"]) for call in looking["tool_calls"]]
    assert arguments == [arguments for _, arguments in CALLED[:2]]
    said = [message["content"] for message in results if message["role"] == "tool"]
    assert said == ["Sunny in Ålesund.", "Sunny in O.", "Noon."]
    ids = [call["id"] for message in last["messages"] for call in message.get("tool_calls", ())]
    assert len(set(ids)) == 3
    assert ids == [message["tool_call_id"] for message in results if message["role"] == "tool"]


async def test_what_nobody_may_ask_is_the_clients_own_error(looping: Clients, server: Server, upstream: Upstream):
    given = at(server, server.tokens["alice"], upstream.model(*TURN), by="create")
    custom = [{"type": "custom", "custom": {"name": "x"}}]
    shown = await looping("openai-python").error("loop", **given, tools=custom)
    assert (shown["type"], shown["param"], shown["code"]) == ("BadRequestError", "tools[0].type", "invalid_request")


# -- tools of ours ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def stocked(new_server: NewServer, tmp_path: Path) -> AsyncIterator[Server]:
    """One where a package is installed that has a tool."""
    server = await new_server()
    install_tools(server, tmp_path / "installed", "in_stock", "def in_stock(item: str) -> int: return len(item)")
    async with serving(server):
        yield server


async def test_a_tool_of_ours_is_carried_out_and_every_client_sees_only_text(
    looping: Clients, stocked: Server, upstream: Upstream
):
    looks = [text("Let me look. "), *asks(("call_1", "in_stock", '{"item": "tea"}'))]
    for name, by in WAYS:
        model = upstream.model(looks, [text("There are 3."), finish(), usage()])
        shown = await looping(name).value("loop", **at(stocked, stocked.tokens["alice"], model), by=by)
        assert (name, shown) == (name, {"text": "Let me look. There are 3.", "called": []})
        *_, result = upstream.seen(model)[-1].body["messages"]
        assert (result["role"], result["content"]) == ("tool", "3")


# -- coming back -----------------------------------------------------------------------------------------------------


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def keyed(key: str) -> dict[str, Any]:
    return {"tools": [WEATHER], "store": True, "extra_headers": {"Idempotency-Key": key}}


async def test_who_was_cut_off_in_a_call_finds_all_of_it_by_its_key(
    looping: Clients, server: Server, line: LossyLine, upstream: Upstream
):
    steps = asks(("call_1", "weather", '{"city": "Oslo"}'))
    model = upstream.model([text("Well. "), *steps[:2], pause("cut off"), *steps[2:]])
    given = asked("openai-python", line, server, model, members=keyed("calls"))
    python = looping("openai-python")
    call = python.begin("stream", **given)
    await call.until("text")
    await upstream.until(model, "paused")
    line.cut_now("rst")
    await call.error()
    upstream.release("cut off")
    for _ in range(2):
        again = python.begin("stream", **given)
        assert (await again.value())["finish"] == "tool_calls"
        assert [told["made"] for told in again.told("called")] == [["call_1", "weather", '{"city": "Oslo"}']]
    assert len(upstream.seen(model)) == 1
    async with calling(server) as alice:
        thread = (await alice.get("/api/threads")).json["data"][0]
        [_, answer] = (await alice.get(f"/api/threads/{thread['id']}/messages")).json["data"]
    assert [part["type"] for part in answer["parts"]] == ["text", "tool_call"]
    assert answer["parts"][1]["status"] == "pending"


async def test_the_same_key_leads_to_the_calls_of_the_worker_that_carries_the_answer_on(
    looping: Clients, two_workers: TwoWorkers, upstream: Upstream
):
    steps = asks(("call_1", "weather", '{"city": "Oslo"}'))
    model = upstream.model([text("one ", "two "), *steps[:2], hang()], [text("uno "), *steps])
    python = looping("openai-python")
    async with two_workers(lease_s=1, checkpoint_s=0.2, continue_within_s=300) as (one, two):
        given = {"token": one.token, "model": model, "members": keyed("anew")}
        call = python.begin("stream", **given, url=one.server.url)
        await call.until("text")
        watching = python.begin("stream", **given, url=two.server.url)
        await watching.until("text")
        await one.server.kill()
        assert (await call.error())["type"] == "APIConnectionError"
        assert "begun anew" in detail(await watching.error())
        for _ in range(2):
            again = python.begin("stream", **given, url=two.server.url)
            assert (await again.value())["finish"] == "tool_calls"
            assert again.texts() == "uno "
            assert [told["made"] for told in again.told("called")] == [["call_1", "weather", '{"city": "Oslo"}']]
