"""Chat completions by the clients that people have: the same checks for each of them."""

import pytest

from tests.clients.openai_chat import CHAT_CLIENTS, EVERY, PATH, Clients, asked, at, detail, refused
from tests.e2e.conftest import NewServer
from tests.support.client_process import Call
from tests.support.lossy_line import lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import ANSWER, Upstream, finish, json_answer, pause, text, usage
from tests.support.upstream_parts import cites, thinks

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
CUTS = size(100, 1000)

each = pytest.mark.parametrize("name", CHAT_CLIENTS)
packages = pytest.mark.parametrize("name", ["openai-node", "openai-python"])


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


@pytest.mark.parametrize("name", EVERY)
async def test_two_tabs_are_answered_beside_each_other(clients: Clients, server: Server, upstream: Upstream, name: str):
    tabs = {}
    for tab in ("one", "two"):
        model = upstream.model(text(f"{tab} ", "an"), pause(f"{tab} {name}"), text("swer"), finish())
        tabs[tab] = clients(name).begin("stream", **asked(name, server, server, model))
        await tabs[tab].until("text")
    for tab in ("two", "one"):
        upstream.release(f"{tab} {name}")
        await tabs[tab].value()
        assert tabs[tab].texts() == f"{tab} answer"


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
