"""Chat completions that are refused, or fail: as each client shows its own errors."""

from contextlib import AsyncExitStack

import pytest

from tests.clients.openai_chat import CHAT_CLIENTS, EVERY, PATH, Clients, asked, at, detail, refused
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, close, error, finish, pause, status, text

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)

each = pytest.mark.parametrize("name", CHAT_CLIENTS)
every = pytest.mark.parametrize("name", EVERY)


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


async def test_too_many_at_once_are_told_so_and_ask_again_no_sooner_than_they_may(
    clients: Clients, few: Server, upstream: Upstream
):
    holding, answering = upstream.model(text("first "), pause("held"), finish()), upstream.model(ANSWER)
    async with AsyncExitStack() as stack, calling(few) as alice:
        held = await alice.say("Hi", model=holding)
        await held.until(lambda stream: stream.text)
        lines = {name: await stack.enter_async_context(lossy_line(few.port)) for name in EVERY}
        begun = {name: clients(name).begin("stream", **asked(name, lines[name], few, answering)) for name in EVERY}
        for name, call in begun.items():
            shown = await call.error()
            refused(EVERY[name], 429, shown)
            assert "too_many_runs" in detail(shown)
            assert lines[name].calls == [EVERY[name].path] * EVERY[name].asks
        upstream.release("held")
        await held.ended()
        for name in EVERY:
            call = clients(name).begin("stream", **asked(name, lines[name], few, answering))
            await call.value()
            assert call.texts() == "Hello, world"


@every
async def test_a_key_that_was_used_for_another_request_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(ANSWER)
    given = asked(name, line, server, model, headers={"Idempotency-Key": f"once {name}"})
    assert (await clients(name).value("complete", **given))["text"] == "Hello, world"
    shown = await clients(name).error("complete", **given, members={"temperature": 0.5})
    refused(EVERY[name], 400, shown)
    assert "used for another request" in shown["message"]
    assert "idempotency_key_reused" in detail(shown)
    assert line.calls == [EVERY[name].path] * 2
    assert len(upstream.seen(model)) == 1


@every
async def test_an_answer_whose_thread_another_tab_finds_busy_and_stops_is_a_conflict_that_is_told_once(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(text("first ", "la"), pause("never"))
    call = clients(name).begin("complete", **asked(name, line, server, model, members={"store": True}))
    await upstream.until(model, "paused")
    async with calling(server) as alice:
        thread = (await alice.get("/api/threads")).json["data"][0]
        busy = await (await alice.say("Me too", thread_id=thread["id"])).ended()
        assert (busy.status, busy.json["code"]) == (409, "thread_busy")
        await alice.cancel(busy.json["run_id"])
    shown = await call.error()
    refused(EVERY[name], 409, shown)
    assert "run_cancelled" in detail(shown)
    assert line.calls == [EVERY[name].path]


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
