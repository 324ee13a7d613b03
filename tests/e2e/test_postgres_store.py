"""PostgreSQL goes away and comes back, or has no connection to spare: callers are told so, and nothing is lost."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from tests.e2e.conftest import Record
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, all_ended, batches, calling
from tests.support.upstream import Upstream, done, finish, pause, text, usage

BACK_S = 5.0
_names = itertools.count(1)


@pytest.fixture
def database(on_postgres: Server, postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server's PostgreSQL, to be stopped by the test; it runs again afterwards whatever happened."""
    yield postgres_server
    postgres_server.ensure_running()


@dataclass
class Traffic:
    """Callers that chat and read, one request after the other, each in a thread of its own."""

    caller: Caller
    answers: list[Exchange] = field(default_factory=list)
    over: bool = False

    async def chat(self, writer: int) -> None:
        thread = None
        while not self.over:
            said = await self.caller.say(f"{writer}", model="mock-3-0", stream=False, thread_id=thread)
            self.answers.append(await said.ended(30))
            thread = said.json["thread_id"] if said.status == 200 else thread
            self.answers.append(await self.caller.get("/api/threads?limit=3"))

    def answered(self, status: int, since: int = 0) -> int:
        return sum(answer.status == status for answer in self.answers[since:])


async def test_a_restart_of_the_database_is_a_503_for_a_moment_and_live_streams_survive_it(
    on_postgres: Server, database: PostgresServer, upstream: Upstream, record_property: Record
):
    name = f"restart{next(_names)}"
    model = upstream.model(text("before, "), pause(name), text("after"), finish(), usage(), done())
    async with calling(on_postgres) as alice:
        streams = [await alice.say("Hi", model=model) for _ in range(size(10, 100))]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in streams))
        traffic = Traffic(alice)
        chatting = asyncio.gather(*(traffic.chat(writer) for writer in range(size(8, 20))))
        await _until(lambda: traffic.answered(200) >= 50)

        await asyncio.to_thread(database.crash)
        gone_from = len(traffic.answers)
        await _until(lambda: traffic.answered(503, gone_from) >= 50)
        upstream.release(name)
        await upstream.until(model, "ended", len(streams))

        async def unready() -> bool:
            ready = await alice.get("/health/ready")
            return (ready.status, ready.json["checks"]["database"]) == (503, "unavailable")

        await eventually(unready, within=10)
        assert not any(stream.terminals for stream in streams), "an end was told before it was stored"

        database.start()
        back_at = time.monotonic()
        back_from = len(traffic.answers)
        await _until(lambda: traffic.answered(200, back_from) >= 20)
        record_property("back_after_s", time.monotonic() - back_at)
        await all_ended(streams, BACK_S)
        assert time.monotonic() - back_at < BACK_S
        traffic.over = True
        await chatting

        statuses = Counter(answer.status for answer in traffic.answers)
        record_property("statuses", dict(statuses))
        assert set(statuses) == {200, 503}, statuses
        assert all("retry-after" in answer.headers for answer in traffic.answers if answer.status == 503)
        assert {(s.text, s.terminals[0]["type"]) for s in streams} == {("before, after", "run.completed")}
        for answer in [answer.json for answer in traffic.answers if answer.status == 200]:
            if run_id := answer.get("run_id"):
                stored = await alice.run(run_id)
                assert (stored["status"], stored["text"]) == ("completed", answer["response"])
        assert (await alice.run(streams[0].run_id))["text"] == "before, after"
        [live] = await _row(on_postgres, "SELECT count(*) FROM runs WHERE status IN ('queued', 'streaming')")
        assert live == 0


async def test_while_the_database_is_down_a_good_token_gets_503_and_a_bad_one_401(
    on_postgres: Server, database: PostgresServer
):
    count = size(60, 500)
    who = f"user{next(_names)}"
    await sign_up(on_postgres, who)
    async with calling(on_postgres, who) as caller:
        await asyncio.to_thread(database.crash)
        answers = []
        for some in batches(range(count), 20):
            answers += await asyncio.gather(*(_ask(caller, number) for number in some))
        forged = await caller.request("GET", "/api/me", headers={"authorization": "Bearer forged"})
        assert (await forged.ended()).status == 401
        database.start()
        back_at = time.monotonic()
        assert Counter(answer.status for answer in answers) == {503: count}
        assert {answer.json["code"] for answer in answers} == {"store_unavailable"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        await eventually(lambda: _answers(caller), within=BACK_S)
        assert time.monotonic() - back_at < BACK_S


async def _ask(caller: Caller, number: int) -> Exchange:
    """One of the ways to need a token checked."""
    match number % 4:
        case 0:
            return await caller.get("/api/me")
        case 1:
            return await caller.get("/api/runs/run_1/events")
        case 2:
            return await (await caller.say("Hi", model="mock-1-0")).ended()
    return await (await caller.say("Hi", model="mock-1-0", stream=False)).ended()


async def _answers(caller: Caller) -> bool:
    return (await caller.get("/api/me")).status == 200


async def test_an_exhausted_pool_is_a_503_never_a_500_or_401_and_soon_forgotten(on_postgres: Server):
    count = size(60, 500)
    who = f"user{next(_names)}"
    await sign_up(on_postgres, who)
    async with calling(on_postgres, who) as caller:
        async with _users_locked(on_postgres):
            asked = [await caller.request("GET", "/api/me") for _ in range(count)]
            await _until(lambda: sum(one.over for one in asked) >= count - 5, 8)
        await all_ended(asked)
        refused = [one for one in asked if one.status != 200]
        assert len(refused) >= count - 5
        assert {(one.status, one.json["code"]) for one in refused} == {(503, "store_unavailable")}
        assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
        assert await _answers(caller)

        async def given_back() -> bool:  # but for a moment at a time, by what the process does anyway
            figures = await (await caller.request("GET", "/metrics", headers={"accept": "application/json"})).ended()
            return figures.json["db_pool_in_use"] == 0

        await eventually(given_back)


@asynccontextmanager
async def _users_locked(server: Server) -> AsyncIterator[None]:
    """Nobody can be looked up: who tries keeps a connection of the pool busy."""
    connection = await asyncpg.connect(server.settings["DATABASE_URL"])
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def _row(server: Server, query: str) -> list[object]:
    connection = await asyncpg.connect(server.settings["DATABASE_URL"])
    try:
        return list(await connection.fetchrow(query))
    finally:
        await connection.close()


async def _until(holds, within: float = 15.0) -> None:
    async def look() -> bool:
        return holds()

    await eventually(look, within=within)


if size(0, 1):

    async def test_a_json_caller_whose_end_cannot_be_stored_gets_503_with_the_run_after_ten_seconds(
        on_postgres: Server, database: PostgresServer, upstream: Upstream
    ):
        name = f"unsettled{next(_names)}"
        model = upstream.model(text("all of it"), pause(name), finish(), usage(), done())
        async with calling(on_postgres) as alice:
            waiting = await alice.say("Hi", model=model, stream=False)
            await upstream.until(model, "paused")
            await asyncio.to_thread(database.crash)
            upstream.release(name)
            ended_at = time.monotonic()
            await waiting.ended(20)
            assert 10 <= time.monotonic() - ended_at < 14
            assert (waiting.status, waiting.json["code"]) == (503, "store_unavailable")
            assert "retry-after" in waiting.headers
            database.start()
            told = await (await alice.follow(waiting.json["run_id"])).ended()
            assert (told.text, told.terminals[0]["type"]) == ("all of it", "run.completed")
