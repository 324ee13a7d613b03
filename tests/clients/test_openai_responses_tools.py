"""Functions over Responses by OpenAI's own packages, which carry them out."""

import pytest

from tests.clients.conftest import NewClient, by_name
from tests.clients.openai_chat import Clients
from tests.clients.openai_responses import FILES, at, dense, each, events
from tests.support.server import Server
from tests.support.upstream import ANSWER, Upstream, finish, pause, text, usage
from tests.support.upstream_parts import calls

ASKS = [
    text("Let me see. "),
    *calls("weather", '{"city"', ': "Rome"}', ident="call_1"),
    finish("tool_calls"),
    usage(),
]


@pytest.fixture(scope="module")
def clients(new_client: NewClient) -> Clients:
    return by_name(new_client, FILES)


@each
@pytest.mark.parametrize("kept", [True, False], ids=["kept here", "kept by the client"])
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
async def test_the_loop_of_a_client_that_has_functions(
    clients: Clients, server: Server, upstream: Upstream, name: str, kept: bool, streams: bool
):
    model = upstream.model(ASKS, ANSWER)
    given = at(server, server.tokens["alice"], model=model)
    call = clients(name).begin("functions", **given, kept=kept, streams=streams)
    assert (await call.value())["text"] == "Hello, world"
    if streams:
        assert "response.function_call_arguments.done" in [told["event"] for told in call.told("event")]
    first, second = upstream.seen(model)
    assert first.body["tools"][0]["function"]["name"] == "weather"
    *_, asked, answered = second.body["messages"]
    assert [made["function"]["arguments"] for made in asked["tool_calls"]] == ['{"city": "Rome"}']
    assert (answered["role"], answered["content"]) == ("tool", "sunny in Rome")
    kinds = await clients(name).value("kinds", **given, id=(await call.value())["id"])
    assert kinds == ["message", "message", "function_call", "function_call_output"]


@each
async def test_who_comes_back_in_the_middle_of_a_call_gets_the_rest_of_it(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    begun = calls("weather", '{"city": ', '"Rome"', ident="call_1")
    model = upstream.model([*begun, pause(f"call {name}"), *calls("weather", "}")[1:], finish("tool_calls"), usage()])
    tools = {"tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}]}
    given = at(server, server.tokens["alice"])
    live = clients(name).begin("watch", **given, model=model, members=tools)
    await live.until("event")
    upstream.release(f"call {name}")
    answer = await live.value()
    assert dense(events(live))
    middle = next(number for number, event in enumerate(events(live)) if "arguments.delta" in event["type"])
    replayed = clients(name).begin("events", **given, id=answer["id"], after=middle)
    await replayed.value()
    assert events(replayed) == events(live)[middle + 1 :]
    again = clients(name).begin("accumulate", **given, id=answer["id"], after=middle)
    assert (await again.value())["status"] == "completed"
