"""Responses by OpenAI's own packages: streams that break and are come back to, and their end for every tab."""

import random
from typing import Any

import pytest

from tests.clients.conftest import NewClient, by_name
from tests.clients.openai_chat import Clients
from tests.clients.openai_responses import FILES, PATH, PIECES, WHOLE, at, dense, each, events
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import Upstream, finish, pause, text, usage

CUTS = size(100, 1000)


@pytest.fixture(scope="module")
def clients(new_client: NewClient) -> Clients:
    return by_name(new_client, FILES)


# -- coming back ---------------------------------------------------------------------------------------------------


@each
async def test_who_is_cut_off_anywhere_comes_back_to_the_same_text_and_events(
    clients: Clients, server: Server, line: LossyLine, upstream: Upstream, name: str
):
    chance = random.Random(12)
    model = upstream.model(text(*PIECES), finish(), usage())
    given = at(line, server.tokens["alice"], model=model)
    uncut = clients(name).begin("watch", **given)
    await uncut.value()
    for at_byte in chance.sample(line.event_bytes(), CUTS):
        line.cut(at_byte, PATH, how=chance.choice(("fin", "rst")))
        call = clients(name).begin("watch", **given)
        answer = await call.value()
        assert (call.texts(), answer["text"]) == (WHOLE, WHOLE), at_byte
        assert dense(events(call)), at_byte
        assert [e["type"] for e in events(call)] == [e["type"] for e in events(uncut)], at_byte
        line.uncut()


@each
async def test_who_is_cut_off_comes_back_to_another_worker_while_it_goes_on(
    clients: Clients, two_workers: TwoWorkers, upstream: Upstream, name: str
):
    model = upstream.model(text("first ", "la"), pause(f"elsewhere {name}"), text("st"), finish())
    async with two_workers() as (one, two), lossy_line(one.server.port) as line:
        call = clients(name).begin("watch", **at(line, one.token, model=model))
        await call.until("text")
        line.to = two.server.port
        line.cut_now("rst")
        await call.until("broken")
        upstream.release(f"elsewhere {name}")
        answer = await call.value()
    assert (call.texts(), answer["text"], answer["breaks"]) == ("first last", "first last", 1)
    assert dense(events(call))


async def test_the_only_worker_is_killed_between_two_pieces(
    clients: Clients, new_server: NewServer, upstream: Upstream
):
    model = upstream.model(text("first ", "la"), pause("never"))
    async with serving(await new_server(continue_within_s=0)) as server, lossy_line(server.port) as line:
        given = at(line, server.tokens["alice"], model=model, waits="come back")
        begun = [clients(name).begin("watch", **given) for name in FILES]
        for call in begun:
            await call.until("text")
        await server.kill()
        for call in begun:
            await call.until("broken")
        await server.start()
        for call in begun:
            call.say("come back")
            _is_over(call, await call.value())


async def test_one_of_two_workers_is_killed_between_two_pieces(
    clients: Clients, two_workers: TwoWorkers, upstream: Upstream
):
    model = upstream.model(text("first ", "la"), pause("never"))
    async with two_workers(lease_s=2, continue_within_s=0) as (one, two), lossy_line(one.server.port) as line:
        begun = [clients(name).begin("watch", **at(line, one.token, model=model)) for name in FILES]
        for call in begun:
            await call.until("text")
        line.to = two.server.port
        await one.server.kill()
        for call in begun:
            _is_over(call, await call.value())


def _is_over(call: Call, answer: dict[str, Any]) -> None:
    """With what was said, and not as a whole answer."""
    assert answer["status"] in ("failed", "incomplete")
    assert call.texts() in ("first ", "first la")
    assert dense(events(call))


# -- stop ----------------------------------------------------------------------------------------------------------


@each
async def test_cancel_ends_it_for_every_tab(clients: Clients, server: Server, upstream: Upstream, name: str):
    model = upstream.model(text("first ", "la"), pause("never"))
    given = at(server, server.tokens["alice"])
    call = clients(name).begin("watch", **given, model=model)
    await call.until("text")
    begun = call.told("response")[0]["id"]
    assert (await clients(name).value("cancel", **given, id=begun))["status"] == "cancelled"
    await call.ended()
    await upstream.until(model, "closed")
    kept = await clients(name).value("retrieve", **given, id=begun)
    assert (kept["status"], kept["text"]) == ("cancelled", "first la")
