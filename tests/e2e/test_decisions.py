"""What people say to calls that wait for them: once, by their own, on any worker, after any restart."""

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.deadly_tools import called, installed
from tests.support.postgres import Databases
from tests.support.redis_server import RedisServer
from tests.support.sizes import size
from tests.support.sockets import Caller, Exchange, calling
from tests.support.upstream import Upstream, done, finish, text, usage
from tests.support.upstream_parts import calls
from tests.support.workers import alike, workers

CALL = "call_1"
OTHER = "call_2"
SETTINGS = {"lease_s": 2, "continue_within_s": 300, "tools_need_approval": "act"}


async def decide(caller: Caller, thread_id: str, *, approve: bool = True, call_id: str = CALL) -> Exchange:
    said = {"decisions": [{"call_id": call_id, "approve": approve}], "stream": False}
    return await caller.post(f"/api/threads/{thread_id}/tool-outputs", said, within=20)


async def asked(alice: Caller, model: str) -> dict[str, Any]:
    answer = await (await alice.say("Do it.", model=model, stream=False)).ended(20)
    assert (answer.status, answer.json["finish_reason"]) == (200, "tool_calls"), answer.body
    return answer.json


def error(answer: Exchange) -> tuple[int, str]:
    return answer.status, answer.json["code"]


async def test_a_decision_holds_once_whoever_gives_it_and_wherever(
    server_in: ServerIn, tmp_path: Path, upstream: Upstream, postgres: Databases, own_redis: RedisServer
):
    (tmp_path / "one").mkdir()
    first = server_in(tmp_path / "one", await postgres.fresh(), **SETTINGS)
    first.settings |= installed(tmp_path / "tools", tmp_path) | {"REDIS_URL": own_redis.url}
    servers = [first, alike(first, tmp_path / "two")]
    for server in servers:
        server.from_scratch = True
    asks, asks_anew = (
        [*calls("act", '{"where": "approved"}', ident=ident), finish("tool_calls"), usage(), done()]
        for ident in (CALL, OTHER)
    )
    says = [text("Done."), finish(), usage(), done()]
    rounds = size(3, 50)
    model = upstream.model(*[script for _ in range(rounds) for script in (asks, says)], asks_anew, says)
    async with workers(servers) as (one, two):
        await sign_up(first, "bob")
        for made in range(1, rounds + 1):
            waiting = await asked(one.alice, model)
            thread_id = waiting["thread_id"]
            if made == 1:  # nobody lives who knew of it
                for server in servers:
                    await server.kill()
                await asyncio.gather(*(server.start() for server in servers))
            async with calling(first, "bob") as bob:
                assert error(await decide(bob, thread_id)) == (404, "not_found")
            assert error(await decide(one.alice, thread_id, call_id="call_of_nobody")) == (404, "not_found")
            answers = await asyncio.gather(*(decide(each.alice, thread_id) for each in (one, two) for _ in range(3)))
            assert [answer.status for answer in answers] == [200] * 6, [answer.body for answer in answers]
            assert len({answer.json["run_id"] for answer in answers}) == 1
            assert {answer.json["response"] for answer in answers} == {"Done."}
            assert len(called(tmp_path)) == made
            again = await decide(two.alice, thread_id)
            assert again.json["run_id"] == answers[0].json["run_id"]
            assert error(await decide(one.alice, thread_id, approve=False)) == (409, "tool_calls_answered")
        retried = await one.alice.post(f"/api/runs/{waiting['run_id']}/retry", {"stream": False}, within=20)
        assert (retried.status, retried.json["finish_reason"]) == (200, "tool_calls"), retried.body
        assert error(await decide(two.alice, thread_id)) == (409, "run_superseded")
        await (await one.alice.say("Never mind.", model=model, thread_id=thread_id)).ended(20)
        assert error(await decide(two.alice, thread_id, call_id=OTHER)) == (409, "tool_calls_answered")
        assert len(called(tmp_path)) == rounds
        assert [server.errors for server in servers] == [[], []]
