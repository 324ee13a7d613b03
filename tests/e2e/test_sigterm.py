"""Asked to stop, the server refuses what is new, lets live streams finish for a while, and tells the rest."""

import signal
import time

from tests.e2e.conftest import NewServer, Record
from tests.support.eventually import eventually
from tests.support.server import serving
from tests.support.sizes import size
from tests.support.sockets import Caller, all_ended, begun, calling, ends
from tests.support.upstream import Upstream, done, finish, hang, pause, text, usage

LIMIT_S = 1.5
AT_ONCE_S = 0.3


async def test_sigterm_drains_then_cancels_and_every_stream_hears_its_end(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    count = size(20, 100) // 2
    short = upstream.model(text("half "), pause("drain"), text("done"), finish(), usage(), done())
    endless = upstream.model(text("half "), hang())
    async with serving(await new_server(drain_limit_s=LIMIT_S)) as server, calling(server) as alice:
        finishing = await begun(alice, short, count)
        hanging = await begun(alice, endless, count)
        waiting = await alice.say("Hi", model=endless, stream=False)
        await upstream.until(endless, "seen", count + 1)
        asked_at = time.monotonic()
        server.send_signal(signal.SIGTERM)
        await eventually(lambda: draining(alice), within=AT_ONCE_S)
        record_property("unready_after_s", time.monotonic() - asked_at)
        refused = await (await alice.say("Hi", model=short)).ended()
        assert (refused.status, refused.json["code"]) == (503, "draining")
        assert "retry-after" in refused.headers
        joined = await alice.follow(hanging[0].run_id)
        upstream.release("drain")
        await all_ended(finishing, LIMIT_S)
        assert time.monotonic() - asked_at < LIMIT_S
        await all_ended([*hanging, joined, waiting])
        status = await server.exited()
        record_property("exited_after_s", took := time.monotonic() - asked_at)
        assert LIMIT_S <= took <= LIMIT_S + 2
        assert status == 0
        assert ends(finishing) == {("run.completed", None): count}
        assert ends([*hanging, joined]) == {("run.cancelled", "shutdown"): count + 1}
        assert (waiting.status, waiting.json["code"]) == (409, "run_cancelled")
        assert server.errors == []
        await server.start()
        assert {(await alice.run(s.run_id))["text"] for s in finishing} == {"half done"}
        assert {(await alice.run(s.run_id))["status"] for s in hanging} == {"cancelled"}
        asked_at = time.monotonic()
        server.send_signal(signal.SIGTERM)  # and without anything to wait for, it waits for nothing
        await server.exited()
        assert time.monotonic() - asked_at < 1


async def test_sigint_cancels_streams_without_waiting_and_they_hear_it(new_server: NewServer, upstream: Upstream):
    count = size(20, 100)
    async with serving(await new_server(drain_limit_s=60)) as server, calling(server) as alice:
        hanging = await begun(alice, upstream.model(text("half "), hang()), count)
        asked_at = time.monotonic()
        server.send_signal(signal.SIGINT)
        await all_ended(hanging)
        status = await server.exited()
        assert time.monotonic() - asked_at <= 2
        assert status == 0
        assert ends(hanging) == {("run.cancelled", "shutdown"): count}
        assert server.errors == []


async def draining(alice: Caller) -> bool:
    """Over a connection that is made now: whoever asks whether to send traffic must be told."""
    ready, alive = await alice.get("/health/ready"), await alice.get("/health/live")
    assert alive.status == 200
    assert ready.status in {200, 503}
    return ready.status == 503 and ready.json["checks"]["runs"] == "draining"
