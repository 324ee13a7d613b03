"""Chat completions by the clients that people have: the same checks for each of them."""

import asyncio
import random

import pytest

from tests.clients.openai_chat import CHAT_CLIENTS, PATH, Clients, at, detail, refused
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, close, error, finish, json_answer, pause, status, text, usage
from tests.support.upstream_parts import cites, thinks

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
CUTS = size(100, 1000)

each = pytest.mark.parametrize("name", CHAT_CLIENTS)
packages = pytest.mark.parametrize("name", ["openai-node", "openai-python"])


# -- an answer -----------------------------------------------------------------------------------------------------


@each
async def test_an_answer_is_whole_streamed_or_not(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model([text(*PIECES), finish(), usage(9, 11)], [json_answer(WHOLE)])
    streaming = clients(name).begin("stream", **at(server, server.tokens["alice"], model))
    streamed = await streaming.value()
    assert streaming.texts() == WHOLE
    assert streamed["finish"] == "stop"
    if name != "LangChain":  # which does not ask for it, where the address is not OpenAI's
        assert (streamed["usage"]["prompt_tokens"], streamed["usage"]["completion_tokens"]) == (9, 11)
    at_once = await clients(name).value("complete", **at(server, server.tokens["alice"], upstream.model(ANSWER)))
    assert (at_once["text"], at_once["finish"]) == ("Hello, world", "stop")
    assert (at_once["usage"]["prompt_tokens"], at_once["usage"]["completion_tokens"]) == (9, 3)


@each
async def test_pieces_are_shown_as_they_come(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text("first "), pause(f"shown {name}"), text("last"), finish())
    call = clients(name).begin("stream", **at(server, server.tokens["alice"], model))
    assert (await call.until("text"))["text"] == "first "
    upstream.release(f"shown {name}")
    await call.value()
    assert call.texts() == "first last"


@each
async def test_what_is_said_beside_the_text_spoils_no_client(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model([*thinks("Let me ", "see."), text(*PIECES), cites("https://a.test", "A"), finish(), usage()])
    call = clients(name).begin("stream", **at(server, server.tokens["alice"], model))
    await call.value()
    assert call.texts() == WHOLE
    assert (await clients(name).value("complete", **at(server, server.tokens["alice"], model)))["text"] == WHOLE


@packages
async def test_what_the_package_accumulates_is_the_answer(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model(text(*PIECES), finish())
    answer = await clients(name).value("accumulate", **at(server, server.tokens["alice"], model))
    assert answer == {"text": WHOLE, "finish": "stop"}


async def test_the_models_are_listed_and_another_is_refused(clients: Clients, new_server: NewServer):
    server = await new_server(model="one")
    server.settings["CHATORCH_ALLOWED_MODELS"] = "two"
    async with serving(server), lossy_line(server.port) as line:
        for name in ("openai-node", "openai-python", "Open WebUI"):
            assert await clients(name).value("models", **at(server, server.tokens["alice"])) == ["one", "two"]
        for name, client in CHAT_CLIENTS.items():
            line.calls.clear()
            shown = await clients(name).error("stream", **at(line, server.tokens["alice"], "three"))
            refused(client, 404, shown)
            assert "model_not_found" in detail(shown)
            assert line.calls == [PATH]


@each
async def test_a_long_answer_goes_back_with_the_next_question(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    answer = "long " * 2000
    model = upstream.model([text(answer), finish(), usage()])
    given = at(server, server.tokens["alice"], model, texts=["One", "Two", "Three"])
    await clients(name).value("converse", **given)
    said = [(message["role"], message["content"]) for message in upstream.seen(model)[-1].body["messages"]]
    assert said[0][0] in ("system", "developer")
    assert said[0][1] == "Be brief."
    assert said[1:] == [
        ("user", "One"),
        ("assistant", answer),
        ("user", "Two"),
        ("assistant", answer),
        ("user", "Three"),
    ]


@packages
async def test_the_same_key_is_the_same_answer_and_asked_of_the_provider_once(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model([text("once"), finish(), usage()], [text("twice"), finish(), usage()])
    given = at(server, server.tokens["alice"], model, headers={"Idempotency-Key": f"key of {name}"})
    first = await clients(name).value("complete", **given)
    assert (first["text"], (await clients(name).value("complete", **given))["text"]) == ("once", "once")
    streaming = clients(name).begin("stream", **given)
    assert await _either(streaming) in ("once", "idempotency_key_reused")
    assert len(upstream.seen(model)) == 1


async def _either(call: Call) -> str:
    """What a repeated request of another form comes to: the same answer, or its own error."""
    last = await call.ended()
    return call.texts() if last["told"] == "done" else last["error"]["code"]


@packages
async def test_a_guest_is_answered_where_guests_are_allowed(
    clients: Clients, new_server: NewServer, server: Server, upstream: Upstream, name: str
):
    async with serving(await new_server(anonymous_chat=True)) as open_to_all:
        call = clients(name).begin("stream", **at(open_to_all, None, upstream.model(ANSWER)))
        await call.value()
        assert call.texts() == "Hello, world"
    refused(CHAT_CLIENTS[name], 401, await clients(name).error("stream", **at(server, None, upstream.model(ANSWER))))


async def test_open_webui_streams_while_it_makes_a_title(clients: Clients, server: Server, upstream: Upstream):
    answering = upstream.model(text("first "), pause("titled"), text("last"), finish())
    title = upstream.model(json_answer('{"title": "First and last"}'), ANSWER)
    webui = clients("Open WebUI")
    call = webui.begin("stream", **at(server, server.tokens["alice"], answering))
    await call.until("text")
    asked = {"text": "### Task:\nGenerate a title." + " chat" * 2000}
    made = await webui.value("complete", **at(server, server.tokens["alice"], title, **asked))
    upstream.release("titled")
    await call.value()
    assert call.texts() == "first last"
    assert made["text"]


# -- a connection that breaks --------------------------------------------------------------------------------------


@each
async def test_a_cut_anywhere_is_an_error_or_the_whole_answer_and_asking_again_helps(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    chance = random.Random(12)
    model = upstream.model(text(*PIECES), finish(), usage())
    given = at(line, server.tokens["alice"], model)
    await clients(name).value("stream", **given)
    broken = 0
    for at_byte in chance.sample(line.body_bytes(), CUTS):
        line.cut(at_byte, PATH, how=chance.choice(("fin", "rst")))
        call = clients(name).begin("stream", **given)
        last = await call.ended()
        assert WHOLE.startswith(call.texts()), at_byte
        if last["told"] == "raised":
            assert last["error"]["type"] in CHAT_CLIENTS[name].broken, (at_byte, last)
            broken += 1
        else:
            assert call.texts() == WHOLE, (at_byte, last)
        line.uncut()
    assert broken > CUTS / 2
    asked = len(line.calls)
    call = clients(name).begin("stream", **given)
    await call.value()
    assert call.texts() == WHOLE
    assert len(line.calls) == asked + 1


@each
async def test_a_cut_before_anything_came_is_not_noticed_by_who_asks_again(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    line.cut(0, PATH)
    call = clients(name).begin("stream", **at(line, server.tokens["alice"], upstream.model(ANSWER)))
    if CHAT_CLIENTS[name].asks == 1:
        assert (await call.error())["type"] == "ServerDisconnectedError"
        assert line.calls == [PATH]
    else:
        await call.value()
        assert call.texts() == "Hello, world"
        assert line.calls == [PATH, PATH]


@pytest.mark.parametrize("name", ["openai-node", "openai-python", "Open WebUI"])
async def test_who_was_cut_off_finds_the_whole_answer_by_the_run_in_the_header(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(text("first "), pause(f"cut {name}"), text("last"), finish())
    call = clients(name).begin("stream", **at(line, server.tokens["alice"], model))
    await call.until("text")
    line.cut_now("rst")
    await call.error()
    upstream.release(f"cut {name}")
    async with calling(server) as alice:
        run = await eventually(lambda: _completed(alice, call.told("headers")[0]["run"]))
    assert run["text"] == "first last"


async def _completed(alice, run_id: str) -> dict | None:
    run = await alice.run(run_id)
    return run if run["status"] == "completed" else None


async def test_the_only_worker_is_killed_between_two_pieces(
    clients: Clients, new_server: NewServer, upstream: Upstream
):
    model = upstream.model([text("first "), pause("killed"), text("last"), finish()])
    async with serving(await new_server()) as server, lossy_line(server.port) as line:
        given = at(line, server.tokens["alice"], model)
        begun = await _all_begun(clients, given)
        await server.kill()
        await _all_broken(begun)
        await server.start()
        upstream.release("killed")
        await _all_answered(clients, given, "first last")


async def test_one_of_two_workers_is_killed_between_two_pieces(
    clients: Clients, two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model([text("first "), pause("one killed"), text("last"), finish()])
    async with two_workers() as (one, two), lossy_line(one.server.port) as line:
        given = at(line, one.token, model)
        begun = await _all_begun(clients, given)
        await one.server.kill()
        line.to = two.server.port
        await _all_broken(begun)
        upstream.release("one killed")
        await _all_answered(clients, given, "first last")


async def test_a_worker_that_is_told_to_stop_says_so_in_mid_answer(
    clients: Clients, new_server: NewServer, upstream: Upstream
):
    model = upstream.model(text("first "), pause("never"))
    async with serving(await new_server(drain_limit_s=0.2)) as server, lossy_line(server.port) as line:
        begun = await _all_begun(clients, at(line, server.tokens["alice"], model))
        line.calls.clear()
        await server.stop()
        for name, call in begun.items():
            shown = await call.error()
            assert (name, call.texts()) == (name, "first ")
            assert shown["type"] in (CHAT_CLIENTS[name].in_stream, "ModelAPIError"), (name, shown)
            assert "shutdown" in detail(shown), (name, shown)
        assert line.calls == []


async def _all_begun(clients: Clients, given: dict[str, object]) -> dict[str, Call]:
    begun = {name: clients(name).begin("stream", **given) for name in CHAT_CLIENTS}
    await asyncio.gather(*(call.until("text") for call in begun.values()))
    return begun


async def _all_broken(begun: dict[str, Call]) -> None:
    """Each shows what it had, and says that this was not all."""
    for name, call in begun.items():
        shown = await call.error()
        assert (name, call.texts()) == (name, "first ")
        assert shown["type"] in CHAT_CLIENTS[name].broken, (name, shown)


async def _all_answered(clients: Clients, given: dict[str, object], whole: str) -> None:
    begun = {name: clients(name).begin("stream", **given) for name in CHAT_CLIENTS}
    for name, call in begun.items():
        await call.value()
        assert (name, call.texts()) == (name, whole)


# -- stop ----------------------------------------------------------------------------------------------------------


@each
async def test_who_stops_is_shown_no_error_and_the_answer_goes_on_without(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model(text("first "), pause(f"stop {name}"), text("last"), finish())
    call = clients(name).begin("stream", **at(server, server.tokens["alice"], model, waits="stop"))
    await call.until("text")
    call.say("stop")
    await call.value()
    assert call.texts() == "first "
    upstream.release(f"stop {name}")
    [asked] = await upstream.until(model, "ended")
    assert asked.closed_at is None


# -- what goes wrong -----------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("action", ["stream", "complete"])
async def test_a_wrong_token_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str, action: str
):
    shown = await clients(name).error(action, **at(line, "wrong", upstream.model(ANSWER)))
    refused(CHAT_CLIENTS[name], 401, shown)
    assert "invalid_token" in detail(shown)
    assert line.calls == [PATH]


@each
async def test_a_parameter_that_is_not_to_be_had_is_named(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    given = at(line, server.tokens["alice"], upstream.model(ANSWER), members={"n": 3})
    shown = await clients(name).error("stream", **given)
    refused(CHAT_CLIENTS[name], 400, shown)
    assert '"param": "n"' in detail(shown)
    assert line.calls == [PATH]


@each
async def test_too_many_at_once_are_told_so_and_ask_again_no_sooner_than_they_may(
    clients: Clients, few: Server, upstream: Upstream, name: str
):
    holding = upstream.model(text("first "), pause(f"held {name}"), finish())
    async with lossy_line(few.port) as line, calling(few) as alice:
        held = await alice.say("Hi", model=holding)
        await held.until(lambda stream: stream.text)
        shown = await clients(name).error("stream", **at(line, few.tokens["alice"], upstream.model(ANSWER)))
        refused(CHAT_CLIENTS[name], 429, shown)
        assert "too_many_runs" in detail(shown)
        assert line.calls == [PATH] * CHAT_CLIENTS[name].asks
        upstream.release(f"held {name}")
        await held.ended()
        call = clients(name).begin("stream", **at(line, few.tokens["alice"], upstream.model(ANSWER)))
        await call.value()
    assert call.texts() == "Hello, world"


@each
@pytest.mark.parametrize("action", ["stream", "complete"])
async def test_a_provider_that_refuses_is_the_clients_own_error_and_is_not_asked_again(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str, action: str
):
    model = upstream.model(status(401, body='{"error": {"message": "secret", "code": "invalid_api_key"}}'))
    shown = await clients(name).error(action, **at(line, server.tokens["alice"], model))
    refused(CHAT_CLIENTS[name], 502, shown)
    assert "upstream_auth" in detail(shown)
    assert "secret" not in detail(shown)
    assert line.calls == [PATH]
    assert len(upstream.seen(model)) == 1


@each
async def test_a_provider_that_is_down_is_the_clients_own_error_and_no_storm(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(status(503, {"retry-after-ms": "1"}, body="{}"))
    shown = await clients(name).error("stream", **at(line, server.tokens["alice"], model))
    refused(CHAT_CLIENTS[name], 503, shown)
    assert "upstream_unavailable" in detail(shown)
    assert line.calls == [PATH]
    assert len(upstream.seen(model)) == 3


@each
@pytest.mark.parametrize("broken", ["an error as an event", "a closed connection"])
async def test_a_provider_that_fails_in_mid_answer_is_an_error_below_the_text_so_far(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str, broken: str
):
    end = error("secret") if broken.startswith("an error") else close()
    model = upstream.model(text("first "), end)
    call = clients(name).begin("stream", **at(line, server.tokens["alice"], model))
    shown = await call.error()
    assert call.texts() == "first "
    assert shown["type"] == CHAT_CLIENTS[name].in_stream, shown
    assert "secret" not in detail(shown)
    assert "provider" in detail(shown)
    assert line.calls == [PATH]
