"""A worker that was stopped for longer than its lease wakes while another one carries its runs on."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from redis import Redis

from tests.e2e.conftest import Record, TwoWorkers
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.message_fold import SPAN
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.sizes import size
from tests.support.sockets import Exchange, all_ended
from tests.support.upstream import Upstream, done, finish, hang, pause, text, tokens, usage
from tests.support.workers import Worker

LEASE_S = 1
GOES_ON = {"lease_s": LEASE_S, "checkpoint_s": 0.2, "continue_within_s": 300, "detach_grace_s": 60}
OLD = [f"alt {i} " for i in range(10)]
NEW = [f"neu {i} Grüße 😀 " for i in range(20)]
TRIES = 4
"""One that is stopped while it writes keeps its locks: nobody can take anything over then."""


@dataclass(frozen=True)
class Run:
    """What one kind of run of the zombie's has to it. `followed` is by the other worker."""

    model: str
    asked: Exchange
    followed: Exchange

    @property
    def id(self) -> str:
        return self.asked.run_id


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_one_that_wakes_after_its_runs_were_taken_over_writes_and_publishes_nothing(
    two_workers: TwoWorkers,
    upstream: Upstream,
    own_redis: RedisServer,
    postgres: Databases,
    record_property: Record,
    store: str,
):
    """The rounds of both stores are the hundred. In each, one run's provider is silent meanwhile, one's speaks, and
    one's says all there is to say."""
    url = await postgres.fresh() if store == "postgresql" else None
    rounds = size(1, 50)
    again, ends = 0, []
    with Redis.from_url(own_redis.url) as redis:
        async with two_workers(url, **GOES_ON) as (one, two):
            for number in range(rounds):
                zombie, other = (one, two) if number < (rounds + 1) // 2 else (two, one)
                name = f"{store} {number}"
                runs = await _begun(zombie, other, upstream, name)
                again += await _woken_too_late(zombie, other, upstream, redis, runs, name)
                ends.append(asyncio.ensure_future(_all_whole(zombie, runs, upstream)))  # others are stopped meanwhile
            await asyncio.gather(*ends)
            assert one.server.errors == two.server.errors == []
    record_property("stopped_while_it_wrote", again)


async def _woken_too_late(
    zombie: Worker, other: Worker, upstream: Upstream, redis: "Redis[bytes]", runs: Sequence[Run], name: str
) -> int:
    """Returns how often it took more than once to have all taken over."""
    lost = zombie.server.logged("run_lost")
    tries = await _taken_over(zombie, runs, upstream, name)
    try:
        await asyncio.gather(*(eventually(lambda run=run: _is_published(redis, run)) for run in runs))
        before = [_published(redis, run) for run in runs]
        stored = [await other.alice.run(run.id) for run in runs]
    finally:
        zombie.server.send_signal(signal.SIGCONT)
    silent, speaking, _ = runs
    for run in (silent, speaking):
        await upstream.until(run.model, "closed", within=10)

    async def let_go() -> bool:
        return zombie.server.logged("run_lost") == lost + len(runs)

    await eventually(let_go, within=10)
    assert [_published(redis, run) for run in runs] == before
    assert [await other.alice.run(run.id) for run in runs] == stored
    assert {row["text"] for row in stored} == {"".join(NEW[:10])}
    upstream.release(f"new {name}")
    await asyncio.gather(*(upstream.until(run.model, "ended", 1 + (run is runs[2])) for run in runs))
    return tries


async def _all_whole(zombie: Worker, runs: Sequence[Run], upstream: Upstream) -> None:
    await all_ended([run.followed for run in runs] + [run.asked for run in runs], 30)
    for run in runs:
        for stream in (run.followed, run.asked):
            _is_whole(stream)
        row = await zombie.alice.run(run.id)
        assert (row["status"], row["text"]) == ("completed", "".join(NEW))
        assert len(upstream.seen(run.model)) == 2


async def _begun(zombie: Worker, other: Worker, upstream: Upstream, name: str) -> list[Run]:
    new = [text(*NEW[:10]), pause(f"new {name}"), text(*NEW[10:]), finish(), usage(), done()]
    whole = [pause(f"old {name}"), text("and the end"), finish(), usage(), done()]
    runs = []
    for rest in ([hang()], [tokens(10_000, every=0.01)], whole):
        model = upstream.model([text(*OLD), *rest], new)
        asked = await zombie.alice.say("Hi", model=model)
        await asked.until(lambda s: s.text.startswith("".join(OLD)))
        followed = await other.alice.follow(asked.run_id)
        runs.append(Run(model, asked, followed))
    await asyncio.gather(*(run.followed.until(lambda s: s.text.startswith("".join(OLD))) for run in runs))
    return runs


async def _taken_over(zombie: Worker, runs: Sequence[Run], upstream: Upstream, name: str) -> int:
    """Stops it until all of its runs are another's; returns how often that took more than once."""
    for tries in range(TRIES):
        zombie.server.send_signal(signal.SIGSTOP)
        try:
            silent, speaking, whole = runs
            for run, paused in ((silent, 1), (speaking, 1), (whole, 2)):
                await upstream.until(run.model, "paused", paused, within=LEASE_S + 6)
        except TimeoutError:
            zombie.server.send_signal(signal.SIGCONT)
        else:
            upstream.release(f"old {name}")
            await upstream.until(whole.model, "ended")
            return tries
    raise AssertionError(f"nobody took them over in {TRIES} tries")


async def _is_published(redis: "Redis[bytes]", run: Run) -> bool:
    """All that it has said under its new epoch so far."""
    [log] = redis.keys(f"*run:{run.id}:log")
    entries = redis.xrange(log)
    return bool(entries) and entries[-1][0] == b"2-%d" % (1 + len("".join(NEW[:10])))


def _published(redis: "Redis[bytes]", run: Run) -> tuple[list[object], bytes | None]:
    """All that Redis has of what it said."""
    [log] = redis.keys(f"*run:{run.id}:log")
    [base] = redis.keys(f"*run:{run.id}:base")
    return redis.xrange(log), redis.get(base)


def _is_whole(stream: Exchange) -> None:
    """What came of the one who took over is all that came behind its beginning."""
    screen = Screen()
    screen.show(stream.events)
    assert (screen.text, [end["type"] for end in screen.terminals]) == ("".join(NEW), ["run.completed"])
    seqs = [event["seq"] for event in stream.events]
    assert seqs == sorted(set(seqs))
    assert "".join(event.get("text", "") for event in stream.events if event["seq"] > SPAN) == "".join(NEW)
