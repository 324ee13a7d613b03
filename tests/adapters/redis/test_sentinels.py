"""Addresses of Sentinels: they say which Redis is the primary, and another one when that has gone."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from chatorch.adapters.redis.link import RedisLink, RedisRefused
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.run import RunInterrupted, RunStarted
from tests.adapters.redis.test_failover import fault_is, known, text_of
from tests.support.eventually import eventually
from tests.support.fake_redis import fake_redis
from tests.support.logged import logged
from tests.support.redis_process import processes
from tests.support.redis_server import RedisServer, SentinelServer
from tests.support.sizes import size

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")
SERVICE = "chat-primary"
SECRET = "pa55word"
FAILED_OVER_S = 15.0


@dataclass
class Guarded:
    """A primary, its replica, and who watches them."""

    primary: RedisServer
    replica: RedisServer
    sentinels: list[SentinelServer]

    def url(self, *, service: str = SERVICE, number: str = "/0", query: str = "", scheme: str = "redis") -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"{scheme}+sentinel://:{SECRET}@{hosts}/{service}{number}{query}"

    async def know_each_other(self) -> None:
        """Until every Sentinel has found the replica and the others; without it nobody can be elected."""

        async def found(sentinel: SentinelServer) -> bool:
            client = Redis(port=sentinel.port)
            [replica] = await client.execute_command("SENTINEL", "REPLICAS", SERVICE) or [{}]
            others = await client.execute_command("SENTINEL", "SENTINELS", SERVICE)
            await client.aclose()
            heard = replica.get(b"master-link-status") == b"ok" and replica.get(b"flags") == b"slave"
            return heard and len(others) == len(self.sentinels) - 1

        for sentinel in self.sentinels:
            await eventually(lambda sentinel=sentinel: found(sentinel), 10)


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with ExitStack() as stack:

        def run(server: RedisServer, ready: bytes = b"+PONG") -> None:
            stack.callback(server.destroy)
            server.start(ready)

        login = ("--requirepass", SECRET, "--masterauth", SECRET)
        primary = RedisServer(*login)
        run(primary, b"-NOAUTH")
        replica = RedisServer(*login, "--replicaof", "127.0.0.1", str(primary.port))
        run(replica, b"-NOAUTH")
        sentinels = []
        for _ in range(size(1, 3)):
            sentinel = SentinelServer(SERVICE, primary.port, password=SECRET)
            run(sentinel)
            sentinels.append(sentinel)
        yield Guarded(primary, replica, sentinels)


async def refusal(url: str) -> str:
    with pytest.raises(RedisRefused) as refused:
        await RedisLink(url).start()
    assert SECRET not in str(refused.value)
    return str(refused.value)


@pytest.mark.soak
async def test_when_the_primary_dies_all_follow_to_the_next_and_nothing_is_missing(guarded: Guarded):
    await guarded.know_each_other()
    with logged() as lines, ExitStack() as stack:
        async with processes(guarded.url(), look_s=0.1) as [here, elsewhere]:
            assert here.link.up
            here.log.open(RUN, 1, STARTED)
            here.log.append(RUN, "before ")
            following = asyncio.ensure_future(text_of(elsewhere.log))
            stack.callback(following.cancel)
            await known(elsewhere.log, "before ")
            guarded.primary.kill()
            await here.until(up=False)
            here.log.append(RUN, "meanwhile ")
            for process in (here, elsewhere):
                await process.until(up=True, within=FAILED_OVER_S)
            here.log.append(RUN, "after")
            here.log.end(RUN, RunInterrupted(24))
            assert await asyncio.wait_for(following, 5) == "before meanwhile after"
    assert SECRET not in lines.text


async def test_dead_and_foreign_ones_among_them_are_passed_over_and_wrong_names_refused(guarded: Guarded):
    [*_, sentinel] = guarded.sentinels
    async with fake_redis(b"-ERR unknown command `SENTINEL`, with args beginning with: ") as foreign:
        login = f"redis+sentinel://:{SECRET}@"
        link = RedisLink(f"{login}127.0.0.1:1,127.0.0.1:{foreign.port},127.0.0.1:{sentinel.port}/{SERVICE}")
        await link.start()
        assert link.up
        await link.aclose()
        assert "sentinel_unknown_command" in await refusal(f"{login}127.0.0.1:{foreign.port}/{SERVICE}")
    assert "sentinel_service: no Sentinel knows" in await refusal(guarded.url(service="another"))
    assert "database_number" in await refusal(guarded.url(number="/99"))
    assert "redis+sentinel" in await refusal(f"redis://127.0.0.1:{sentinel.port}/0")


async def test_the_sentinels_own_password_is_asked_for_by_name(guarded: Guarded):
    locked = SentinelServer(SERVICE, guarded.primary.port, "requirepass sent1nel")
    locked.start(b"-NOAUTH")
    try:
        guarded.sentinels = [locked]
        assert "sentinel_NOAUTH: the Sentinels refuse us; see sentinel_username" in await refusal(guarded.url())
        assert "sentinel_WRONGPASS" in await refusal(guarded.url(query="?sentinel_password=wrong"))
        link = RedisLink(guarded.url(query="?sentinel_password=sent1nel"))
        await link.start()
        assert link.up
        await link.aclose()
    finally:
        locked.destroy()


async def test_sentinels_that_are_all_away_are_waited_for():
    link = RedisLink(f"redis+sentinel://:{SECRET}@127.0.0.1:1,127.0.0.1:2/{SERVICE}/0")
    await link.start()
    await fault_is(link, "sentinel_refused", 1)
    await link.aclose()


@pytest.mark.parametrize(
    "url",
    [
        f"redis+sentinel://:{SECRET}@host:26379",
        f"redis+sentinel://:{SECRET}@host:26379/",
        f"redis+sentinel://:{SECRET}@host:26379//0",
        f"redis+sentinel://:{SECRET}@/service/0",
        f"redis+sentinel://:{SECRET}@one:26379,,two/service/0",
        f"redis+sentinel://:{SECRET}@one:port/service/0",
        f"redis+sentinel://:{SECRET}@one/service/zero",
        f"redis+sentinel://:{SECRET}@one/service/0?colour=red",
        f"redis://:{SECRET}@one/zero",
    ],
)
def test_a_wrong_url_is_refused_in_one_line_that_repeats_no_password(url: str):
    with pytest.raises(ValueError, match="REDIS_URL") as refused:
        RedisLink(url)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_addresses_may_be_of_any_kind():
    for hosts in ("one", "one:26379,two", "[::1]:26380,10.0.0.1"):
        for scheme in ("redis", "rediss"):
            assert RedisLink(f"{scheme}+sentinel://user:p%40ss@{hosts}/service/3").prefix == "chatorch:3:"
            assert RedisLink(f"{scheme}+sentinel://{hosts}/service").prefix == "chatorch:0:"
