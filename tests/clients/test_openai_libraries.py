"""LangChain and pydantic-ai over Responses: the same checks as over chat completions, as far as these differ."""

import random

import pytest

from tests.clients.openai_chat import RESPONSES_CLIENTS, Clients, at, detail, refused
from tests.support.lossy_line import LossyLine
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, close, error, finish, pause, status, text, usage
from tests.support.upstream_parts import cites, thinks

PATH = "POST /v1/responses"
PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
CUTS = size(100, 1000)

each = pytest.mark.parametrize("name", RESPONSES_CLIENTS)


def asked(where: Server | LossyLine, server: Server, model: str, **members: object) -> dict[str, object]:
    return at(where, server.tokens["alice"], model, responses=True, **members)


@each
async def test_an_answer_is_whole_streamed_or_not(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text(*PIECES), finish(), usage(9, 11))
    streaming = clients(name).begin("stream", **asked(server, server, model))
    streamed = await streaming.value()
    assert streaming.texts() == WHOLE
    assert (streamed["usage"]["prompt_tokens"], streamed["usage"]["completion_tokens"]) == (9, 11)
    at_once = await clients(name).value("complete", **asked(server, server, model))
    assert at_once["text"] == WHOLE
    assert (at_once["usage"]["prompt_tokens"], at_once["usage"]["completion_tokens"]) == (9, 11)


@each
async def test_what_is_said_beside_the_text_spoils_no_library(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    model = upstream.model([*thinks("Let me ", "see."), text(*PIECES), cites("https://a.test", "A"), finish(), usage()])
    call = clients(name).begin("stream", **asked(server, server, model))
    await call.value()
    assert call.texts() == WHOLE
    assert (await clients(name).value("complete", **asked(server, server, model)))["text"] == WHOLE


@each
async def test_a_long_answer_goes_back_with_the_next_question(
    clients: Clients, server: Server, upstream: Upstream, name: str
):
    answer = "long " * 2000 + "."
    model = upstream.model([text(answer), finish(), usage()])
    await clients(name).value("converse", **asked(server, server, model, texts=["One", "Two"]))
    said = [(message["role"], message["content"]) for message in upstream.seen(model)[-1].body["messages"]]
    assert said[0] in (("system", "Be brief."), ("developer", "Be brief."))
    assert said[1:] == [("user", "One"), ("assistant", answer), ("user", "Two")]


@each
async def test_a_cut_anywhere_is_an_error_or_the_whole_answer_and_asking_again_helps(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    chance = random.Random(12)
    model = upstream.model(text(*PIECES), finish(), usage())
    await clients(name).value("stream", **asked(line, server, model))
    for at_byte in chance.sample(line.body_bytes(), CUTS):
        line.cut(at_byte, PATH, how=chance.choice(("fin", "rst")))
        call = clients(name).begin("stream", **asked(line, server, model))
        last = await call.ended()
        assert WHOLE.startswith(call.texts()), at_byte
        if last["told"] == "raised":
            assert last["error"]["type"] in RESPONSES_CLIENTS[name].broken, (at_byte, last)
        else:
            assert call.texts() == WHOLE, (at_byte, last)
        line.uncut()
    call = clients(name).begin("stream", **asked(line, server, model))
    await call.value()
    assert call.texts() == WHOLE


@each
async def test_who_stops_is_shown_no_error(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text("first ", "la"), pause(f"stop {name}"), text("st"), finish())
    call = clients(name).begin("stream", **asked(server, server, model, waits="stop"))
    await call.until("text")
    call.say("stop")
    await call.value()
    assert call.texts() == "first "
    upstream.release(f"stop {name}")
    [seen] = await upstream.until(model, "ended")
    assert seen.closed_at is None


@each
async def test_one_that_another_tab_stops_is_shown_as_cancelled_or_as_it_was_then(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(text("first ", "la"), pause("never"))
    call = clients(name).begin("stream", **asked(line, server, model))
    await call.until("text")
    async with calling(server) as alice:
        response = "resp_" + line.header("x-chatorch-run").removeprefix("run_")
        assert (await alice.post(f"/v1/responses/{response}/cancel")).json["status"] == "cancelled"
    ended = await call.value()
    assert call.texts() == "first la"
    assert ended["finish"] == {"LangChain on Responses": "cancelled", "pydantic-ai on Responses": None}[name]


@each
async def test_a_busy_conversation_is_a_conflict_that_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    async with calling(server) as alice:
        conversation = (await alice.post("/v1/conversations", {})).json["id"]
    model = upstream.model(text("first ", "la"), pause(f"busy {name}"), text("st"), finish())
    given = asked(line, server, model, members={"conversation": conversation})
    call = clients(name).begin("stream", **given)
    await call.until("text")
    shown = await clients(name).error("stream", **given)
    refused(RESPONSES_CLIENTS[name], 409, shown)
    assert "thread_busy" in detail(shown)
    assert line.calls == [PATH, PATH]
    upstream.release(f"busy {name}")
    await call.value()
    assert call.texts() == "first last"


@each
async def test_a_wrong_token_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    given = at(line, "wrong", upstream.model(ANSWER), responses=True)
    refused(RESPONSES_CLIENTS[name], 401, await clients(name).error("stream", **given))
    assert line.calls == [PATH]


@each
async def test_a_provider_that_refuses_is_the_librarys_own_error(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(status(401, body='{"error": {"message": "secret", "code": "invalid_api_key"}}'))
    shown = await clients(name).error("complete", **asked(line, server, model))
    assert "provider" in detail(shown)
    assert "secret" not in detail(shown)
    assert line.calls == [PATH]


@each
@pytest.mark.parametrize("broken", ["an error as an event", "a closed connection"])
async def test_a_provider_that_fails_in_mid_answer_is_not_taken_for_the_end(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str, broken: str
):
    end = error("secret") if broken.startswith("an error") else close()
    call = clients(name).begin("stream", **asked(line, server, upstream.model(text("first "), end)))
    last = await call.ended()
    assert call.texts() == "first "
    assert "secret" not in str(last)
    assert last["told"] == "raised" or last["value"]["finish"] in ("failed", "incomplete", "error"), last
    assert line.calls == [PATH]
