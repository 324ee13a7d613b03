"""Chat completions where a connection breaks, a worker dies, or the user stops: what each client shows."""

import asyncio
import random

import pytest

from tests.clients.openai_chat import CHAT_CLIENTS, EVERY, PATH, Clients, asked, at, detail
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, finish, pause, text, usage

PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
CUTS = size(100, 1000)

each = pytest.mark.parametrize("name", CHAT_CLIENTS)
packages = pytest.mark.parametrize("name", ["openai-node", "openai-python"])


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
    model = upstream.model([text("first ", "la"), pause("killed"), text("st"), finish()])
    async with serving(await new_server()) as server, lossy_line(server.port) as line:
        given = {name: asked(name, line, server, model) for name in EVERY}
        begun = await _all_begun(clients, given)
        await server.kill()
        await _all_broken(begun)
        await server.start()
        upstream.release("killed")
        await _all_answered(clients, given, "first last")


async def test_one_of_two_workers_is_killed_between_two_pieces(
    clients: Clients, two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model([text("first ", "la"), pause("one killed"), text("st"), finish()])
    async with two_workers() as (one, two), lossy_line(one.server.port) as line:
        given = {name: asked(name, line, one.server, model) for name in EVERY}
        begun = await _all_begun(clients, given)
        await one.server.kill()
        line.to = two.server.port
        await _all_broken(begun)
        upstream.release("one killed")
        await _all_answered(clients, given, "first last")


async def test_a_worker_that_is_told_to_stop_says_so_in_mid_answer(
    clients: Clients, new_server: NewServer, upstream: Upstream
):
    model = upstream.model(text("first ", "la"), pause("never"))
    async with serving(await new_server(drain_limit_s=0.2)) as server, lossy_line(server.port) as line:
        begun = await _all_begun(clients, {name: asked(name, line, server, model) for name in CHAT_CLIENTS})
        line.calls.clear()
        await server.stop()
        for name, call in begun.items():
            shown = await call.error()
            assert (name, call.texts()) == (name, "first la")
            assert shown["type"] in (CHAT_CLIENTS[name].in_stream, "ModelAPIError"), (name, shown)
            assert "shutdown" in detail(shown), (name, shown)
        assert line.calls == []


async def _all_begun(clients: Clients, given: dict[str, dict[str, object]]) -> dict[str, Call]:
    begun = {name: clients(name).begin("stream", **members) for name, members in given.items()}
    await asyncio.gather(*(call.shows(_so_far(name)) for name, call in begun.items()))
    return begun


def _so_far(name: str) -> str:
    """Responses' text comes word by word."""
    return "first la" if name in CHAT_CLIENTS else "first "


async def _all_broken(begun: dict[str, Call]) -> None:
    """Each shows what it had, and says that this was not all."""
    for name, call in begun.items():
        shown = await call.error()
        assert (name, call.texts()) == (name, _so_far(name))
        assert shown["type"] in EVERY[name].broken, (name, shown)


async def _all_answered(clients: Clients, given: dict[str, dict[str, object]], whole: str) -> None:
    begun = {name: clients(name).begin("stream", **members) for name, members in given.items()}
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


@each
async def test_one_that_another_tab_stops_says_so_behind_what_was_said(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    model = upstream.model(text("first ", "la"), pause("never"))
    call = clients(name).begin("stream", **asked(name, line, server, model))
    await call.shows("first la")
    async with calling(server) as alice:
        await alice.cancel(line.header("x-chatorch-run"))
    shown = await call.error()
    assert call.texts() == "first la"
    assert shown["type"] == (CHAT_CLIENTS[name].ended_in_stream or CHAT_CLIENTS[name].in_stream), shown
    assert "cancelled" in detail(shown)
    assert line.calls == [PATH]
