"""What workers of one server have counted together, whichever is asked."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import OfTwo
from tests.support.eventually import eventually
from tests.support.server import START_S
from tests.support.sizes import size
from tests.support.upstream import Upstream, done, finish, text, usage
from tests.support.worker_processes import have_served, pids


def folder_of(pid: int) -> Path:
    """Where a worker counts."""
    mapped = [line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    [folder] = {Path(path).parent for path in mapped if path.endswith(".db") and "chatorch-metrics-" in path}
    return folder


async def test_workers_of_one_server_answer_as_one(of_two: OfTwo, upstream: Upstream):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    async with of_two() as both:
        for _ in range(10):
            answer = await (await both.alice.say("Hi", model=model, stream=False)).ended()
            assert answer.status == 200

        async def all_counted() -> bool:
            figures = await (
                await both.alice.request("GET", "/metrics", headers={"accept": "application/json"})
            ).ended()
            prometheus = await both.alice.get("/metrics")
            return (
                figures.json["total_messages_processed"] == 10
                and b"chatorch_messages_processed_total 10.0" in prometheus.body
            )

        await eventually(all_counted)
        writers = {record["pid"] for record in both.server.records if record["event"] == "run_ended"}
        assert writers
        assert writers <= pids(both.server)
        assert both.server.errors == []
        [folder] = {folder_of(pid) for pid in pids(both.server)}
        assert folder.is_dir()
    assert not folder.exists(), "nothing is left of a server that has stopped"


@pytest.mark.long
async def test_what_workers_counted_stays_when_they_die_or_are_renewed_and_what_they_held_does_not(
    of_two: OfTwo, upstream: Upstream
):
    model = upstream.model(text("Hello"), finish(), usage(), done())
    async with of_two() as both:

        async def figures() -> dict[str, float]:
            asked = await both.alice.request("GET", "/metrics", headers={"accept": "application/json"})
            return (await asked.ended()).json

        async def counted() -> bytes:
            text = (await both.alice.get("/metrics")).body
            return next(line for line in text.splitlines() if line.startswith(b"chatorch_messages_processed_total"))

        async def all_counted() -> bool:
            return (await counted()).endswith(b" 10.0")

        for _ in range(10):
            assert (await (await both.alice.say("Hi", model=model, stream=False)).ended()).status == 200
        await eventually(all_counted)
        pool = (await figures())["db_pool_size"] / 2
        os.kill(min(pids(both.server)), signal.SIGKILL)
        await have_served(both.server, 3)
        assert await all_counted()
        before = pids(both.server)
        assert (await (await both.alice.say("Hi", model=model, stream=False)).ended()).status == 200
        both.server.send_signal(signal.SIGHUP)  # before that one is posted by itself

        async def renewed() -> bool:
            return len(now := pids(both.server)) == 2 and now.isdisjoint(before)

        await eventually(renewed, within=3 * START_S, every=0.2)
        for _ in range(10):  # whichever answers
            assert (await counted()).endswith(b" 11.0")
            shown = await figures()
            assert shown["total_messages_processed"] == 11
            assert shown["db_pool_size"] == 2 * pool, "nobody who is gone"
        assert both.server.logged("worker_died") == 1
        [folder] = {folder_of(pid) for pid in pids(both.server)}
        await both.server.stop()
        await both.server.start()
        assert (await counted()).endswith(b" 0.0"), "a server counts anew"
        assert not folder.exists()


@pytest.mark.long
async def test_no_count_falls_while_workers_are_killed_and_renewed_without_end(of_two: OfTwo):
    async with of_two() as both, httpx.AsyncClient(base_url=both.server.url) as asking:
        before: dict[str, float] = {}
        answered, killed, until = 0, 0, time.monotonic() + size(15, 40)

        async def counts() -> dict[str, float]:
            text = (await asking.get("/metrics", headers={"Connection": "close"})).text
            families = [family for family in text_string_to_metric_families(text) if family.type != "gauge"]
            return {f"{s.name}{sorted(s.labels.items())}": s.value for family in families for s in family.samples}

        while time.monotonic() < until:
            scraped_at = time.monotonic()
            found = await counts()
            fallen = {name: (value, found.get(name)) for name, value in before.items() if found.get(name, 0) < value}
            assert fallen == {}
            before = found
            while time.monotonic() < scraped_at + 1:
                try:
                    answer = await asking.get("/health/live", headers={"Connection": "close"})
                    answered += answer.status_code == 200
                except httpx.TransportError:  # its worker was killed
                    continue
            if len(now := pids(both.server)) == 2:
                killed += 1
                os.kill(max(now), signal.SIGKILL)
            if killed % 3 == 0:
                both.server.send_signal(signal.SIGHUP)
        assert killed > 2
        route = [("method", "GET"), ("route", "/health/live"), ("status", "200")]

        async def all_are_there() -> bool:
            return (await counts())[f"chatorch_http_requests_total{route}"] >= answered - killed

        await eventually(all_are_there)
