"""Functions over Responses by OpenAI's own packages, which carry them out."""

import pytest

from tests.clients.conftest import NewClient, by_name
from tests.clients.openai_chat import Clients
from tests.clients.openai_responses import FILES, REFUSED, at, dense, each, events
from tests.e2e.conftest import TwoWorkers
from tests.support.client_process import ClientProcess
from tests.support.server import Server
from tests.support.upstream import ANSWER, Upstream, done, finish, hang, pause, text, usage
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


TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
BY = pytest.mark.parametrize("by", ["previous_response_id", "conversation"])


async def asked(client: ClientProcess, given: dict[str, object], by: str) -> tuple[list[object], dict[str, object]]:
    """A response waits for an output. What says that and something more, and where."""
    call = client.begin("watch", **given, members={"tools": [TOOL]})
    await call.value()
    response = events(call)[-1]["response"]
    output = {"type": "function_call_output", "call_id": response["output"][1]["call_id"], "output": "sunny"}
    there = response["id"] if by == "previous_response_id" else response["conversation"]["id"]
    return [output, {"role": "user", "content": "And in Oslo?"}], {"tools": [TOOL], by: there}


@each
@BY
@pytest.mark.parametrize("action", ["respond", "accumulate"], ids=["whole", "stream"])
async def test_an_output_and_what_the_user_says_go_in_one_request(
    clients: Clients, server: Server, upstream: Upstream, name: str, by: str, action: str
):
    model = upstream.model(ASKS, ANSWER)
    given = at(server, server.tokens["alice"], model=model)
    both, where = await asked(clients(name), given, by)
    answer = await clients(name).value(action, **given, input=both, members=where)
    assert (answer["status"], answer["text"]) == ("completed", "Hello, world")
    *_, calling, result, said = upstream.seen(model)[1].body["messages"]
    assert [calling["role"], result["content"], said["content"]] == ["assistant", "sunny", "And in Oslo?"]
    kinds = await clients(name).value("kinds", **given, id=answer["id"])
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]


@BY
async def test_an_output_and_a_message_again_under_their_key_are_the_same_response(
    clients: Clients, server: Server, upstream: Upstream, by: str
):
    package = clients("openai-python")
    model = upstream.model(ASKS, ANSWER)
    given = at(server, server.tokens["alice"], model=model)
    both, where = await asked(package, given, by)
    keyed = {**where, "extra_headers": {"Idempotency-Key": f"both {by}"}}
    first, second = [await package.value("respond", **given, input=both, members=keyed) for _ in range(2)]
    assert (first["id"], first["text"]) == (second["id"], second["text"])
    assert len(upstream.seen(model)) == 2
    assert len(await package.value("kinds", **given, id=second["id"])) == 5
    refusal = await package.error("respond", **given, input=both, members=where)
    assert refusal["type"] == REFUSED["openai-python"][409 if by == "previous_response_id" else 400]


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


async def test_a_turn_that_was_answered_goes_on_on_another_worker(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    """The worker dies behind a function's output, which is not asked for again."""
    package = new_client("openai_responses.py")
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    async with two_workers(lease_s=1, checkpoint_s=0.2, continue_within_s=300) as (one, two):
        model = upstream.model(ASKS, [text("one ", "two "), hang()], [text("uno ", "dos"), finish(), usage(), done()])
        given = {"token": one.token, "model": model}
        first = package.begin("watch", **given, url=one.server.url, members={"tools": [tool]})
        await first.value()
        asked = events(first)[-1]["response"]
        output = {"type": "function_call_output", "call_id": asked["output"][1]["call_id"], "output": "sunny"}
        members = {"tools": [tool], "previous_response_id": asked["id"]}
        call = package.begin("watch", **given, url=one.server.url, input=[output], members=members, waits="come back")
        await call.until("text")
        await one.server.kill()
        await call.until("broken")
        response = call.told("response")[0]["id"]
        last = events(call)[-1]["sequence_number"]
        there = package.begin("events", token=one.token, url=two.server.url, id=response, after=last)
        await there.value()
        end = events(there)[-1]
        assert end["type"] == "response.completed"
        assert end["response"]["output"][0]["content"][0]["text"] == "uno dos"
        assert end["response"]["previous_response_id"] == asked["id"]
        answered = [message for message in upstream.seen(model)[-1].body["messages"] if message["role"] == "tool"]
        assert [message["content"] for message in answered] == ["sunny"]
        assert len(upstream.seen(model)) == 3
