"""A process is started again while the provider is down: it asks for a few of the runs that it finds at a time, tries
again as it always does, and what comes of each is what the error says. When the provider is back, so are the answers.
"""

import asyncio
import math
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing

from tests.e2e.conftest import NewServer, Record
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine
from tests.support.ports import free_port
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import all_ended, batches, calling
from tests.support.upstream import Seen, Step, Upstream, done, finish, hang, reset, status, text, usage

SAID, WHOLE = "so much ", "all of it"
RUNS = size(10, 200)
AT_ONCE = size(5, 20)
CARRIES_ON = {
    "continue_within_s": 300,
    "takeovers_at_once": AT_ONCE,
    "detach_grace_s": 60,
    "first_piece_timeout_s": 1,
    "checkpoint_s": 0.2,
}
DOWN: dict[str, tuple[list[Step], str]] = {
    "busy": ([status(503)], "upstream_unavailable"),
    "gone": ([reset()], "upstream_unavailable"),
    "mute": ([hang()], "upstream_timeout"),
}
"""How it may be down, and what is said of that."""
TRIES = 3
ANSWERS = [text(WHOLE), finish(), usage(), done()]


async def test_what_answers_with_errors_or_not_at_all_is_asked_a_few_times_at_once(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    models = {how: upstream.model([text(SAID), hang()]) for how in DOWN}
    async with serving(await new_server(**CARRIES_ON)) as server:
        asked = await _left_behind(server, list(models.values()))
        for how, model in models.items():
            upstream.play(model, DOWN[how][0])
        await server.start()
        await _ended(server, RUNS // 2)
        for model in models.values():
            upstream.play(model, ANSWERS)
        await _ended(server, RUNS)
        rows = await _rows(server, asked)
    everything: Counter[str] = Counter()
    for how, model in models.items():
        mine = [row for row in rows if row["model"] == model]
        ends = Counter(row["error"]["code"] if row["error"] else row["status"] for row in mine)
        record_property(how, dict(ends))
        assert set(ends) <= {DOWN[how][1], "completed"}, how
        everything += ends
        if how != "mute":
            again = [seen for seen in upstream.seen(model) if "x-stainless-retry-count" in seen.headers]
            assert len(again) >= (TRIES - 1) * ends["upstream_unavailable"]
    assert set(everything) == {"completed", "upstream_unavailable", "upstream_timeout"}
    requests = [seen for model in models.values() for seen in upstream.seen(model)[len(asked[model]) :]]
    most = _at_once(requests)
    record_property("at_once", most)
    assert most == AT_ONCE


async def test_one_that_refuses_connections_has_its_runs_fail_until_it_is_back(
    new_server: NewServer, upstream: Upstream, record_property: Record
):
    model = upstream.model([text(SAID), hang()])
    async with serving(await new_server(**CARRIES_ON)) as server:
        asked = await _left_behind(server, [model])
        upstream.play(model, ANSWERS)
        port = free_port()
        server.settings["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
        await server.start()
        await _ended(server, RUNS // 2)
        async with _listening(port, upstream):
            await _ended(server, RUNS)
            rows = await _rows(server, asked)
    ends = Counter(row["error"]["code"] if row["error"] else row["status"] for row in rows)
    record_property("ends", dict(ends))
    assert set(ends) == {"upstream_unavailable", "completed"}


async def _left_behind(server: Server, models: Sequence[str]) -> dict[str, list[str]]:
    """So many runs of each model, that a killed process has left; those who followed are gone as well."""
    asked: dict[str, list[str]] = {model: [] for model in models}
    async with calling(server) as alice:
        for numbers in batches(range(RUNS), 20):
            started = [await alice.say(f"Number {number}?", model=models[number % len(models)]) for number in numbers]
            await asyncio.gather(*(stream.until(lambda s: s.text == SAID, 30) for stream in started))
            for number, stream in zip(numbers, started, strict=True):
                asked[models[number % len(models)]].append(stream.run_id)
        await eventually(lambda: _all_saved(server))
        await server.kill()
        await all_ended(started)
    return asked


async def _all_saved(server: Server) -> bool:
    with closing(sqlite3.connect(server.folder / "chat.db")) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM messages WHERE content = ?", (SAID,))
    return bool(count == RUNS)


async def _ended(server: Server, count: int) -> None:
    async def so_many() -> bool:
        return server.logged("run_ended") >= count

    await eventually(so_many, within=60, every=0.05)


async def _rows(server: Server, asked: dict[str, list[str]]) -> list[dict]:
    """Each as it ended: with the new answer, or with what had been said before."""
    async with calling(server) as alice:
        rows = [{**await alice.run(run_id), "model": model} for model, ids in asked.items() for run_id in ids]
    for row in rows:
        expected = {"completed": WHOLE, "failed": SAID}
        assert row["text"] == expected[row["status"]]
    assert server.logged("run_taken_over") == len(rows) == RUNS
    assert server.errors == []
    return rows


def _at_once(requests: Iterable[Seen]) -> int:
    """How many runs were being asked for in the same moment, at the most: each from its first request to the end of its
    last, what lies between two tries included."""
    runs: dict[str, list[Seen]] = {}
    for seen in requests:
        runs.setdefault(seen.body["messages"][-1]["content"], []).append(seen)
    begins = [(tries[0].at, 1) for tries in runs.values()]
    ends = [(tries[-1].ended_at or tries[-1].closed_at or math.inf, -1) for tries in runs.values()]
    count = most = 0
    for _, step in sorted(begins + ends):
        count += step
        most = max(most, count)
    return most


@asynccontextmanager
async def _listening(port: int, upstream: Upstream) -> AsyncIterator[None]:
    """The provider is where it was refused."""
    line = LossyLine(upstream.port)
    there = await asyncio.start_server(line.accept, "127.0.0.1", port)
    try:
        yield
    finally:
        there.close()
        await line.close()
