"""Chat completions that are refused, or fail: as each client shows its own errors."""

import pytest

from tests.clients.openai_chat import CHAT_CLIENTS, PATH, Clients, at, detail, refused
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, close, error, finish, pause, status, text

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
CUTS = size(100, 1000)

each = pytest.mark.parametrize("name", CHAT_CLIENTS)
packages = pytest.mark.parametrize("name", ["openai-node", "openai-python"])


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
