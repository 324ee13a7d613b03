"""Responses and Conversations by OpenAI's own packages."""

import json

import pytest

from tests.clients.conftest import NewClient, by_name
from tests.clients.openai_chat import Clients
from tests.clients.openai_responses import FILES, PATH, PIECES, REFUSED, WHOLE, at, dense, each, events
from tests.support.accounts import sign_up
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, error, finish, pause, status, text, usage
from tests.support.upstream_parts import calls, cites, thinks


@pytest.fixture(scope="module")
def clients(new_client: NewClient) -> Clients:
    return by_name(new_client, FILES)


# -- an answer -----------------------------------------------------------------------------------------------------


@each
async def test_an_answer_is_whole_streamed_or_not(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text(*PIECES), finish(), usage(9, 11))
    given = at(server, server.tokens["alice"], model=model)
    watched = clients(name).begin("watch", **given)
    streamed = await watched.value()
    assert (watched.texts(), streamed["text"], streamed["status"]) == (WHOLE, WHOLE, "completed")
    assert dense(events(watched))
    assert (streamed["usage"]["input_tokens"], streamed["usage"]["output_tokens"]) == (9, 11)
    at_once = await clients(name).value("respond", **at(server, server.tokens["alice"], model=upstream.model(ANSWER)))
    assert (at_once["text"], at_once["status"]) == ("Hello, world", "completed")
    assert (at_once["usage"]["input_tokens"], at_once["usage"]["output_tokens"]) == (9, 3)
    again = await clients(name).value("retrieve", **at(server, server.tokens["alice"], id=streamed["id"]))
    assert again["text"] == WHOLE


@each
async def test_what_is_said_beside_the_text_is_accumulated_too(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    said = [*thinks("Let me ", "see."), text(*PIECES), cites("https://a.test", "A"), *calls("look", '{"at"', ": 1}")]
    model = upstream.model([*said, finish(), usage()])
    given = at(server, server.tokens["alice"])
    live = clients(name).begin("accumulate", **given, model=model)
    answer = await live.value()
    assert (answer["text"], live.texts()) == (WHOLE, WHOLE)
    first = clients(name).begin("events", **given, id=answer["id"])
    await first.value()
    assert dense(events(first))
    for number in range(len(events(first)) - 1):
        replayed = clients(name).begin("events", **given, id=answer["id"], after=number)
        await replayed.value()
        assert events(replayed) == events(first)[number + 1 :], number


@each
async def test_what_the_package_accumulates_is_the_answer_live_and_begun_from_any_event(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model(text(*PIECES), finish(), usage())
    given = at(server, server.tokens["alice"])
    live = clients(name).begin("accumulate", **given, model=model)
    answer = await live.value()
    assert (answer["text"], live.texts()) == (WHOLE, WHOLE)
    numbered = clients(name).begin("events", **given, id=answer["id"])
    await numbered.value()
    for event in events(numbered)[:-1]:
        number = event["sequence_number"]
        replayed = clients(name).begin("accumulate", **given, id=answer["id"], after=number)
        assert (await replayed.value())["text"] == WHOLE
        later = [e["delta"] for e in events(numbered)[number + 1 :] if e["type"] == "response.output_text.delta"]
        assert replayed.texts() == "".join(later)


@each
async def test_events_from_any_number_are_those_that_were_streamed_live(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model(text(*PIECES), finish(), usage())
    given = at(server, server.tokens["alice"])
    live = clients(name).begin("watch", **given, model=model)
    answer = await live.value()
    for number in range(len(events(live)) - 1):
        replayed = clients(name).begin("events", **given, id=answer["id"], after=number)
        await replayed.value()
        assert events(replayed) == events(live)[number + 1 :], number


@each
async def test_a_second_tab_sees_the_same_live(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text("first ", "la"), pause(f"tab {name}"), text("st"), finish())
    given = at(server, server.tokens["alice"])
    first = clients(name).begin("watch", **given, model=model)
    await first.until("text")
    second = clients(name).begin("events", **given, id=first.told("response")[0]["id"])
    await second.until("text")
    upstream.release(f"tab {name}")
    await first.value()
    await second.value()
    assert events(second) == events(first)


# -- conversations -------------------------------------------------------------------------------------------------


@each
async def test_what_was_said_before_goes_to_the_model(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(ANSWER)
    given = at(server, server.tokens["alice"], model=model)
    first = await clients(name).value("respond", **given, input="One")
    second = await clients(name).value(
        "respond", **given, input="Two", members={"previous_response_id": first["id"], "instructions": "Be brief."}
    )
    asked = upstream.seen(model)[-1].body["messages"]
    assert [(said["role"], said["content"]) for said in asked if said["role"] in ("user", "assistant")] == [
        ("user", "One"),
        ("assistant", "Hello, world"),
        ("user", "Two"),
    ]
    assert "Be brief." in json.dumps(asked)
    inputs = await clients(name).value("inputs", **at(server, server.tokens["alice"], id=second["id"]))
    assert ["user", "Two"] in inputs


@each
async def test_who_keeps_the_conversation_sends_all_of_it_back(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    answer = "long " * 2000 + "."
    model = upstream.model([*thinks("Let me ", "see."), text(answer), cites("https://a.test", "A"), finish(), usage()])
    given = at(server, server.tokens["alice"], model=model, texts=["One", "Two", "Three"])
    await clients(name).value("unkept", **given)
    asked = upstream.seen(model)[-1].body["messages"]
    assert [(said["role"], said["content"]) for said in asked] == [
        ("user", "One"),
        ("assistant", answer),
        ("user", "Two"),
        ("assistant", answer),
        ("user", "Three"),
    ]


@each
async def test_a_conversation_holds_what_is_said_in_it(clients: Clients, server: Server, upstream: Upstream, name: str):
    given = at(server, server.tokens["alice"])
    conversation = await clients(name).value("converse", **given)
    members = {"conversation": conversation}
    said = await clients(name).value("respond", **given, model=upstream.model(ANSWER), input="One", members=members)
    assert said["conversation"] == conversation
    assert await clients(name).value("items", **given, id=conversation) == [
        ["user", "One"],
        ["assistant", "Hello, world"],
    ]
    await clients(name).value("forget", **given, id=conversation)
    shown = await clients(name).error("items", **given, id=conversation)
    assert shown["type"] == REFUSED[name][404]


@each
async def test_one_that_is_deleted_is_gone(clients: Clients, server: Server, upstream: Upstream, name: str):
    given = at(server, server.tokens["alice"])
    answer = await clients(name).value("respond", **given, model=upstream.model(ANSWER))
    await clients(name).value("remove", **given, id=answer["id"])
    shown = await clients(name).error("retrieve", **given, id=answer["id"])
    assert shown["type"] == REFUSED[name][404]


# -- what goes wrong -----------------------------------------------------------------------------------------------


@each
async def test_a_busy_conversation_is_a_conflict_that_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    given = at(line, server.tokens["alice"])
    members = {"conversation": await clients(name).value("converse", **given)}
    model = upstream.model(text("first ", "la"), pause(f"busy {name}"), finish())
    call = clients(name).begin("watch", **given, model=model, members=members)
    await call.until("text")
    line.calls.clear()
    shown = await clients(name).error("respond", **given, model=model, members=members)
    assert (shown["type"], shown["code"]) == (REFUSED[name][409], "thread_busy")
    assert line.calls == [PATH]
    upstream.release(f"busy {name}")
    await call.value()


@each
async def test_a_wrong_token_and_a_foreign_or_wrong_id_are_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    shown = await clients(name).error("respond", **at(line, "wrong"), model=upstream.model(ANSWER))
    assert (shown["type"], shown["code"]) == (REFUSED[name][401], "invalid_token")
    shown = await clients(name).error("retrieve", **at(line, server.tokens["alice"], id="resp_nobodys"))
    assert shown["type"] == REFUSED[name][404]
    assert [call.partition("?")[0] for call in line.calls] == [PATH, "GET /v1/responses/resp_nobodys"]
    bob = f"bob with {name}"
    await sign_up(server, bob)
    answer = await clients(name).value("respond", **at(line, server.tokens["alice"]), model=upstream.model(ANSWER))
    for action in ("retrieve", "cancel", "remove", "inputs", "events"):
        shown = await clients(name).error(action, **at(line, server.tokens[bob]), id=answer["id"])
        assert (action, shown["type"]) == (action, REFUSED[name][404])
    going_on = {"model": upstream.model(ANSWER), "members": {"previous_response_id": answer["id"]}}
    shown = await clients(name).error("respond", **at(line, server.tokens[bob]), **going_on)
    assert shown["type"] in (REFUSED[name][400], REFUSED[name][404])


async def test_too_many_at_once_are_told_so_and_ask_again_no_sooner_than_they_may(
    clients: Clients, few: Server, upstream: Upstream
):
    holding, answering = upstream.model(text("first "), pause("held for responses"), finish()), upstream.model(ANSWER)
    async with lossy_line(few.port) as one, lossy_line(few.port) as two, calling(few) as alice:
        held = await alice.say("Hi", model=holding)
        await held.until(lambda stream: stream.text)
        lines = {"openai-node": one, "openai-python": two}
        given = {name: at(line, few.tokens["alice"], model=answering) for name, line in lines.items()}
        begun = {name: clients(name).begin("watch", **members) for name, members in given.items()}
        for name, call in begun.items():
            shown = await call.error()
            assert (shown["type"], shown["code"]) == (REFUSED[name][429], "too_many_runs")
            assert lines[name].calls == [PATH] * 3
        upstream.release("held for responses")
        await held.ended()
        for name, members in given.items():
            assert (await clients(name).value("respond", **members))["text"] == "Hello, world"


@each
async def test_a_parameter_that_is_not_to_be_had_is_named(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    given = at(line, server.tokens["alice"], model=upstream.model(ANSWER), members={"top_logprobs": 3})
    shown = await clients(name).error("respond", **given)
    assert (shown["type"], shown["param"]) == (REFUSED[name][400], "top_logprobs")
    assert line.calls == [PATH]


@each
async def test_a_provider_that_fails_is_the_clients_own_error(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    refusing = upstream.model(status(401, body='{"error": {"message": "secret", "code": "invalid_api_key"}}'))
    given = at(line, server.tokens["alice"])
    failed = await clients(name).begin("watch", **given, model=refusing).ended()
    assert "secret" not in json.dumps(failed)
    assert "provider" in json.dumps(failed), "an error, or a response that failed"
    breaking = upstream.model(text("first "), error("secret"))
    call = clients(name).begin("watch", **given, model=breaking)
    failed = await call.ended()
    assert call.texts() == "first "
    assert "secret" not in json.dumps(failed)
    assert "provider" in json.dumps(failed)
    assert line.calls == [PATH, PATH]
