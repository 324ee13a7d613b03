"""One server of several processes: `chatorch serve --workers 2`."""

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import NewOfTwo, OfTwo, Record, ServerIn
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.postgres import Databases, PostgresServer
from tests.support.server import START_S, Server
from tests.support.sizes import size
from tests.support.sockets import all_ended, begun, ends
from tests.support.upstream import Upstream, done, finish, hang, text, tokens, usage
from tests.support.worker_processes import alive, have_served, pids, stopped

LIMIT_S = 1.5
AT_ONCE_S = 0.3
NOBODY_LISTENS = "Nothing listens at the address of the database; is it running, and is the port right?"


@pytest.mark.parametrize("one_hangs", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_sigterm_is_heard_at_once_and_obeyed_within_the_limit_also_when_a_worker_hangs(
    of_two: OfTwo, upstream: Upstream, record_property: Record, one_hangs: bool
):
    endless = upstream.model(text("half "), hang())
    count = size(20, 100)
    async with of_two(drain_limit_s=LIMIT_S) as both:
        first, second = pids(both.server)
        if one_hangs:
            os.kill(first, signal.SIGSTOP)
        hanging = await begun(both.alice, endless, count)
        asked_at = time.monotonic()
        both.server.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            return all([(await both.alice.get("/health/ready")).status == 503 for _ in range(5)])

        await eventually(draining, within=AT_ONCE_S)
        record_property("unready_after_s", time.monotonic() - asked_at)
        await all_ended(hanging)
        assert await both.server.exited() == 0
        record_property("exited_after_s", took := time.monotonic() - asked_at)
        assert LIMIT_S <= took <= LIMIT_S + 2
        assert ends(hanging) == {("run.cancelled", "shutdown"): count}
        assert not alive(first)
        assert not alive(second)
        assert both.server.errors == []


@pytest.mark.long
async def test_ctrl_c_ends_all_runs_without_waiting_and_they_hear_it(of_two: OfTwo, upstream: Upstream):
    endless = upstream.model(text("half "), hang())
    count = size(20, 100)
    async with of_two(drain_limit_s=60) as both:
        hanging = await begun(both.alice, endless, count)
        asked_at = time.monotonic()
        both.server.press_ctrl_c()
        await all_ended(hanging)
        assert await both.server.exited() == 0
        assert time.monotonic() - asked_at <= 2
        assert ends(hanging) == {("run.cancelled", "shutdown"): count}
        assert both.server.errors == []


@pytest.mark.long
async def test_a_second_ctrl_c_ends_even_what_hangs(of_two: OfTwo):
    async with of_two(drain_limit_s=60) as both:
        first, second = pids(both.server)
        with stopped(first):
            both.server.press_ctrl_c()

            async def the_other_has_left() -> bool:
                return both.server.logged("drained") == 1

            await eventually(the_other_has_left)
            assert alive(first)
            asked_at = time.monotonic()
            both.server.press_ctrl_c()
            await both.server.exited()
            assert time.monotonic() - asked_at <= 1
        assert not alive(first)
        assert not alive(second)


async def test_ctrl_c_while_they_start_is_quiet(new_of_two: NewOfTwo):
    server = new_of_two()
    server.launch()

    async def one_starts() -> bool:
        return bool(pids(server))

    await eventually(one_starts, within=START_S)
    server.press_ctrl_c()
    assert await server.exited() == 0
    assert [record["event"] for record in server.records] == ["model_provider", "starting", "stopping"]


async def test_a_worker_that_is_killed_is_replaced_at_once(of_two: OfTwo, record_property: Record):
    async with of_two() as both:
        slowest = 0.0
        for served in range(3, size(4, 13)):
            before = pids(both.server)
            killed_at = time.monotonic()
            os.kill(min(before), signal.SIGKILL)

            async def replaced(before: set[int] = before) -> bool:
                return len(pids(both.server) - before) == 1

            await eventually(replaced)
            slowest = max(slowest, time.monotonic() - killed_at)
            assert (await both.alice.get("/health/ready")).status == 200
            await have_served(both.server, served)
        record_property("slowest_replaced_s", slowest)
        assert slowest <= AT_ONCE_S


@pytest.mark.long
async def test_a_worker_that_hangs_for_long_is_replaced(of_two: OfTwo):
    async with of_two() as both:
        hanging, other = pids(both.server)
        with stopped(hanging):

            async def replaced(hanging: int = hanging) -> bool:
                assert (await both.alice.get("/health/ready")).status == 200
                return hanging not in pids(both.server)

            await eventually(replaced, within=60, every=0.5)
        await have_served(both.server, 3)
        assert other in pids(both.server)


@pytest.mark.long
async def test_a_worker_that_dies_while_the_store_is_away_is_replaced_when_it_is_back(
    of_two: OfTwo, postgres_server: PostgresServer
):
    url = await Databases(postgres_server.url).fresh()
    async with of_two(url) as both:
        killed, staying = pids(both.server)
        postgres_server.crash()
        try:
            os.kill(killed, signal.SIGKILL)

            async def tried_twice() -> bool:
                assert (await both.alice.get("/health/live")).status == 200
                assert staying in pids(both.server)
                return both.server.logged("worker_not_started") >= 2

            await eventually(tried_twice, within=2 * START_S, every=0.1)
        finally:
            postgres_server.ensure_running()
        await have_served(both.server, 3)
        assert len(pids(both.server)) == 2
        assert staying in pids(both.server)

        async def ready() -> bool:
            return (await both.alice.get("/health/ready")).status == 200

        await eventually(ready)
        assert (await (await both.alice.say("Hi", model="mock-3-0")).ended()).status == 200


async def test_workers_are_renewed_on_sighup_without_a_gap(of_two: OfTwo, upstream: Upstream):
    short = upstream.model(tokens(40, every=0.05), finish(), usage(), done())
    count = size(10, 50)
    async with of_two(drain_limit_s=10) as both:
        before = pids(both.server)
        streams = await begun(both.alice, short, count)
        both.server.send_signal(signal.SIGHUP)

        async def renewed() -> bool:
            assert (await both.alice.get("/health/live")).status == 200
            asked = await both.alice.say("Hi", model="mock-1-0")
            assert (await asked.ended()).status == 200, "who comes now goes to a worker that stays"
            ready = await asyncio.gather(*(both.alice.get("/health/ready") for _ in range(8)))
            assert {answer.status for answer in ready} == {200}, "who comes now goes to a worker that stays"
            return len(now := pids(both.server)) == 2 and now.isdisjoint(before)

        await eventually(renewed, within=3 * START_S, every=0.05)
        await all_ended(streams)
        assert ends(streams) == {("run.completed", None): count}
        assert both.server.errors == []


@pytest.mark.long
async def test_on_a_unix_socket_they_are_renewed_as_on_a_port(new_of_two: NewOfTwo, tmp_path: Path):
    server = new_of_two(f"sqlite:///{tmp_path}/chat.db")
    server.arguments += ("--uds", str(tmp_path / "s"))
    server.launch()
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        for serving in (2, 4):

            async def serve(server: Server = server, count: int = serving) -> bool:
                return server.logged("serving") == count

            await eventually(serve, within=3 * START_S)
            for _ in range(20):
                assert (await client.get("/health", headers={"Connection": "close"})).status_code == 200
            server.send_signal(signal.SIGHUP if serving == 2 else signal.SIGTERM)
    assert await server.exited() == 0
    assert not (tmp_path / "s").exists()
    assert server.errors == []


async def test_a_start_without_its_store_is_refused_in_one_line(new_of_two: NewOfTwo):
    server = new_of_two(f"postgresql://chatorch@127.0.0.1:{free_port()}/chat")
    server.launch()
    assert await server.exited(START_S) == 3
    *before, why = server.records
    assert [record["event"] for record in before] == ["model_provider", "starting"]
    assert (why["event"], why["level"]) == (NOBODY_LISTENS, "error")


async def test_a_start_on_a_file_that_another_has_to_itself_is_refused_in_one_line(
    new_of_two: NewOfTwo, server: Server
):
    second = new_of_two(server.settings["DATABASE_URL"])
    second.launch()
    assert await second.exited(START_S) == 3
    *before, why = second.records
    assert [record["event"] for record in before] == ["model_provider", "starting"]
    assert "Another chatorch process" in why["event"]


async def test_without_redis_more_than_one_worker_is_refused(server_in: ServerIn, tmp_path: Path):
    refused = await asyncio.to_thread(server_in(tmp_path).command, "serve", "--workers", "2", "--port", "0")
    assert refused.returncode == 2
    assert "REDIS_URL" in refused.stderr


@pytest.mark.long
async def test_workers_whose_parent_is_killed_drain_and_leave(of_two: OfTwo, upstream: Upstream):
    model = upstream.model(tokens(20, every=0.1), finish(), usage(), done())
    async with of_two() as both:
        asked = await both.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text)
        await both.server.kill()
        await asked.ended()
        assert asked.terminals[0]["type"] == "run.completed"

        async def is_free() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", both.server.port)
            except ConnectionRefusedError:
                return True
            writer.close()
            return False

        await eventually(is_free)
