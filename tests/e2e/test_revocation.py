"""Two processes on PostgreSQL: who loses access to one loses it at both, streams and runs, within 5 s."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from chatorch.adapters.sql import SqlUserStore, open_database
from chatorch.ports.users import UserStore
from tests.e2e.conftest import Record, ServerIn
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, calling
from tests.support.upstream import Upstream, hang, text
from tests.support.workers import alike, workers

IN_TIME_S = 5.0


@asynccontextmanager
async def users_of(url: str) -> AsyncIterator[UserStore]:
    """The accounts, as another machine's command line has them."""
    database = open_database(url)
    try:
        yield SqlUserStore(database)
    finally:
        await database.close()


@pytest_asyncio.fixture
async def both(
    on_postgres: Server, server_in: ServerIn, tmp_path: Path, redis_server: RedisServer, postgres: Databases
) -> AsyncIterator[tuple[Server, Server]]:
    """Two of one service. For the quick test it is one that runs anyway: two applications are in `tests/api`."""
    if size(1, 2) == 1:
        yield on_postgres, on_postgres
        return
    (tmp_path / "one").mkdir()
    first = server_in(tmp_path / "one", await postgres.fresh())
    first.settings["REDIS_URL"] = redis_server.url
    async with workers([first, alike(first, tmp_path / "two")]) as (one, two):
        yield one.server, two.server


@pytest.mark.soak
async def test_users_who_lose_access_lose_streams_and_runs_at_all_workers_and_others_nothing(
    both: tuple[Server, Server], upstream: Upstream, record_property: Record
):
    model = upstream.model(text("So far"), hang())
    runs, names = size(2, 10), ("lost-password", "lost-account")
    errors = [len(server.errors) for server in both]
    async with AsyncExitStack() as stack:
        users = await stack.enter_async_context(users_of(both[0].settings["DATABASE_URL"]))
        alice = await stack.enter_async_context(calling(both[0]))
        unharmed = await alice.say("Hi", model=model)
        streams: list[Exchange] = []
        waiting: list[Exchange] = []
        for name in names:
            await sign_up(both[0], name)
            here, there = [await stack.enter_async_context(calling(server, name)) for server in both]
            waiting.append(await here.say("Hi", model=model, stream=False))
            for _ in range(runs):
                stream = await (await here.say("Hi", model=model)).until(lambda s: s.text)
                streams += [stream, await there.follow(stream.run_id), await here.follow(stream.run_id)]
        await asyncio.gather(*(stream.until(lambda s: s.text) for stream in (unharmed, *streams)))
        began = time.monotonic()
        await users.set_password((await users.by_username(names[0])).id, "hash", datetime.now(UTC) - timedelta(hours=2))
        await users.set_disabled((await users.by_username(names[1])).id, True)
        await asyncio.gather(*(one.ended(IN_TIME_S) for one in (*streams, *waiting)))
        await upstream.until(model, "closed", count=2 * (runs + 1), within=IN_TIME_S)
        took = time.monotonic() - began
        record_property("seconds", round(took, 2))
        assert took < IN_TIME_S
        assert [(stream.complete, stream.text) for stream in streams] == [(True, "So far")] * len(streams)
        assert [(answer.status, answer.json["code"]) for answer in waiting] == [(401, "invalid_token")] * 2
        # A stream ends with its run, too, which the other process may have cancelled before this one looks.
        await eventually(partial(_shut_out, [there, here]), within=IN_TIME_S)
        assert not unharmed.over
        assert (await alice.run(unharmed.run_id))["status"] == "streaming"
        assert [len(server.errors) for server in both] == errors
        await alice.cancel(unharmed.run_id)


async def _shut_out(callers: list[Caller]) -> bool:
    return {(await caller.get("/api/me")).status for caller in callers} == {401}
