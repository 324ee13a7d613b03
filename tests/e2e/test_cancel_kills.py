"""`kill -9` when a cancel is acknowledged and the run has not ended: it never goes on."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.event_reader import Screen
from tests.support.outages import no_ends, outage
from tests.support.postgres import Databases
from tests.support.server import Server, serving
from tests.support.sockets import calling
from tests.support.upstream import ANSWER, Upstream, hang, text
from tests.support.ws import doors_of

WITHIN_S = 0.5
ANSWERED_S = 15
"""A cancel, whatever the store does: its own bounds, on a machine that does much else."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def server(request: pytest.FixtureRequest, server_in: ServerIn, postgres: Databases, tmp_path: Path) -> Server:
    """Not started."""
    url = await postgres.fresh() if request.param == "postgresql" else None
    server = server_in(tmp_path, url, continue_within_s=300, detach_grace_s=60)
    await sign_up(server, "alice")
    return server


async def _acknowledged(server: Server, run_id: str, door: str) -> None:
    if door == "http":
        async with calling(server) as alice:
            assert (await alice.cancel(run_id)).status == 202
        return
    async with doors_of(server.port) as opened:
        phone = await opened.connect("phone", server.tokens["alice"])
        assert (await phone.ask("run.cancel", run_id=run_id))["type"] == "ack"


@pytest.mark.parametrize("door", ["http", "websocket"])
async def test_a_run_whose_cancel_was_acknowledged_is_cancelled_though_its_worker_dies_before_its_end_is_stored(
    server: Server, upstream: Upstream, door: str
):
    model = upstream.model([text("half a"), hang()], ANSWER)
    async with serving(server):
        async with calling(server) as alice, no_ends(server.settings["DATABASE_URL"]):
            asked = await alice.say("Hi", model=model)
            await asked.until(lambda heard: heard.text == "half a")
            await _acknowledged(server, asked.run_id, door)
            await upstream.until(model, "closed")
            assert not asked.terminals
            await server.kill()
            await asked.ended()
        await server.start()
        async with calling(server) as alice:
            screen = Screen()
            screen.show(asked.events)
            screen.show((await (await alice.follow(asked.run_id, screen.position)).ended(20)).events)
            assert [(end["type"], end.get("reason")) for end in screen.terminals] == [("run.cancelled", "user")]
            stored = await alice.run(asked.run_id)
            assert (stored["status"], stored["text"]) == ("cancelled", screen.text)
            assert "half a".startswith(screen.text)
        assert len(upstream.seen(model)) == 1


async def test_a_cancel_that_cannot_be_stored_stops_the_answer_at_once_and_is_a_503_until_it_can(
    server: Server, upstream: Upstream
):
    model = upstream.model([text("half a"), hang()], ANSWER)
    url = server.settings["DATABASE_URL"]
    async with serving(server), calling(server) as alice:
        asked = await alice.say("Hi", model=model)
        await asked.until(lambda heard: heard.text == "half a")
        async with outage("busy file" if url.startswith("sqlite") else "table lock", url):
            asked_at = time.monotonic()
            cancelling = asyncio.ensure_future(alice.post(f"/api/runs/{asked.run_id}/cancel", within=ANSWERED_S))
            [seen] = await upstream.until(model, "closed")
            assert seen.closed_at - asked_at < WITHIN_S
            answer = await cancelling
            assert (answer.status, answer.json["code"]) == (503, "store_unavailable")
            assert not asked.terminals
        await asked.ended()
        assert [(end["type"], end["reason"]) for end in asked.terminals] == [("run.cancelled", "user")]
        assert (await alice.cancel(asked.run_id)).status == 202
        assert (await alice.run(asked.run_id))["status"] == "cancelled"
