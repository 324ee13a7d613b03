"""Redis behind one address fails over, refuses, or is busy: it is left and dialled anew, or told of by name."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.domain.model.content import PartDelta, Snapshot
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.run import RunInterrupted, RunStarted
from chatorch.ports.run_log import RunLog
from tests.support.contents import text_in
from tests.support.eventually import eventually
from tests.support.fake_redis import fake_redis
from tests.support.logged import logged
from tests.support.redis_process import RedisProcess, processes
from tests.support.redis_server import RedisServer
from tests.support.sizes import size
from tests.support.wire import Wire, wire_to

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")
LOOK_S = 0.1
NOTICED_S = 2.0
BACK_S = 5.0


@pytest.fixture
def nodes() -> Iterator[list[RedisServer]]:
    """Two servers of our own."""
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            server = RedisServer("--repl-diskless-sync-delay", "0")
            stack.callback(server.destroy)
            server.start()
            started.append(server)
        yield started


@pytest.fixture
async def wire(nodes: list[RedisServer]) -> AsyncIterator[Wire]:
    """The one address. It leads to the first of them."""
    async with wire_to(nodes[0].port) as wire:
        yield wire


async def tell(server: RedisServer, *command: str) -> None:
    client = Redis(port=server.port)
    await client.execute_command(*command)
    await client.aclose()


async def demote(server: RedisServer, under: RedisServer) -> None:
    await tell(server, "REPLICAOF", "127.0.0.1", str(under.port))


async def fault_is(link: RedisLink, name: str | None, within: float) -> None:
    async def look() -> bool:
        return (link.fault.name if link.fault else None) == name

    await eventually(look, within)


async def text_of(log: RunLog) -> str:
    text = ""
    async for event in log.follow(RUN, 0):
        match event:
            case PartDelta():
                text += event.text
            case Snapshot():
                text = event.text
    return text


async def known(log: RunLog, text: str) -> None:
    async def look() -> bool:
        return text_in(log, RUN) == text

    await eventually(look, BACK_S)


async def test_when_old_connections_stay_on_a_demoted_node_all_are_made_anew(nodes: list[RedisServer], wire: Wire):
    first, second = nodes
    url = f"redis://127.0.0.1:{wire.port}/0"
    with logged() as lines:
        async with processes(url, look_s=LOOK_S) as [here, elsewhere]:
            here.log.open(RUN, 1, STARTED)
            following = asyncio.ensure_future(text_of(elsewhere.log))
            text = ""
            for number in range(size(2, 10)):
                text += f"before {number} "
                here.log.append(RUN, f"before {number} ")
                await known(elsewhere.log, text)
                await demote(first, second)
                text += f"meanwhile {number} "
                here.log.append(RUN, f"meanwhile {number} ")
                for process in (here, elsewhere):
                    await fault_is(process.link, "READONLY", NOTICED_S)
                assert text_in(here.log, RUN) == text
                wire.lead_to(second.port)
                for process in (here, elsewhere):
                    await fault_is(process.link, None, BACK_S)
                await known(elsewhere.log, text)
                await tell(second, "CONFIG", "SET", "timeout", "0")
                first, second = second, first
                await tell(second, "REPLICAOF", "NO", "ONE")
            here.log.end(RUN, RunInterrupted(len(text) + 2))
            assert await asyncio.wait_for(following, BACK_S) == text
    assert {line["code"] for line in lines.named("redis_lost")} == {"READONLY"}
    assert len(lines.lines) <= 2 * 2 * size(2, 10), "a loss and a return a process and failover"


async def test_nobody_need_write_for_it_to_be_noticed(nodes: list[RedisServer], wire: Wire):
    async with processes(f"redis://127.0.0.1:{wire.port}/0", 1, look_s=LOOK_S) as [process]:
        await demote(nodes[0], nodes[1])
        await fault_is(process.link, "READONLY", NOTICED_S)
        assert not process.link.up
        await tell(nodes[0], "REPLICAOF", "NO", "ONE")
        await fault_is(process.link, None, BACK_S)


async def test_a_replica_that_loses_its_primary_is_named(nodes: list[RedisServer], wire: Wire):
    await tell(nodes[0], "CONFIG", "SET", "replica-serve-stale-data", "no")
    async with processes(f"redis://127.0.0.1:{wire.port}/0", 1, look_s=LOOK_S) as [process]:
        await tell(nodes[0], "REPLICAOF", "127.0.0.1", "1")
        await fault_is(process.link, "MASTERDOWN", NOTICED_S)


async def test_one_that_still_loads_after_a_failover_is_waited_for(nodes: list[RedisServer], wire: Wire):
    async with (
        fake_redis(b"-LOADING Redis is loading the dataset in memory") as loading,
        processes(f"redis://127.0.0.1:{wire.port}/0", 1, look_s=LOOK_S) as [process],
    ):
        wire.lead_to(loading.port)
        nodes[0].kill()
        await fault_is(process.link, "LOADING", NOTICED_S)
        wire.lead_to(nodes[1].port)
        await fault_is(process.link, None, BACK_S)


async def test_a_busy_script_is_named_and_outlived(own_redis: RedisServer):
    await tell(own_redis, "CONFIG", "SET", "lua-time-limit", "20")
    async with processes(own_redis.url, 1, look_s=LOOK_S) as [process]:
        endless = Redis(port=own_redis.port)
        script = asyncio.ensure_future(endless.execute_command("EVAL", "while true do end", 0))
        await fault_is(process.link, "BUSY", NOTICED_S)
        await tell(own_redis, "SCRIPT", "KILL")
        await fault_is(process.link, None, BACK_S)
        await asyncio.gather(script, return_exceptions=True)
        await endless.aclose()


@pytest.mark.parametrize(
    ("setting", "bad", "good", "name"),
    [("maxmemory", "1", "0", "OOM"), ("min-replicas-to-write", "3", "0", "NOREPLICAS")],
)
async def test_one_that_refuses_writes_is_down_by_name_though_it_serves_readers(
    own_redis: RedisServer, setting: str, bad: str, good: str, name: str
):
    with logged() as lines:
        async with processes(own_redis.url, 1, look_s=LOOK_S) as [process]:
            await process.link.ask(("CONFIG", "SET", setting, bad))
            await fault_is(process.link, name, NOTICED_S)
            assert process.link.up
            assert await process.run_control.last_content([RUN]) == {}
            await process.link.ask(("CONFIG", "SET", setting, good))
            await fault_is(process.link, None, NOTICED_S)
    assert [(line["event"], line["code"]) for line in lines.lines] == [("redis_refuses", name), ("redis_obeys", name)]


async def test_one_whose_disk_is_full_is_named(own_redis: RedisServer):
    """It refuses writes once saving has failed: here, because its folder cannot hold the file."""
    await tell(own_redis, "SET", "a", "b")
    await tell(own_redis, "CONFIG", "SET", "save", "1 1")
    await tell(own_redis, "CONFIG", "SET", "dbfilename", "no-such-folder")
    async with processes(own_redis.url, 1, look_s=LOOK_S) as [process]:
        own_redis.home.joinpath("no-such-folder").mkdir()
        await tell(own_redis, "BGSAVE")
        await fault_is(process.link, "MISCONF", BACK_S)
        await tell(own_redis, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        await fault_is(process.link, None, NOTICED_S)


async def test_a_connection_that_is_dead_without_a_word_is_left_within_three_seconds(
    nodes: list[RedisServer], wire: Wire
):
    async with processes(f"redis://127.0.0.1:{wire.port}/0", 1, look_s=LOOK_S) as [process]:
        nodes[0].freeze()
        wire.lead_to(nodes[1].port)
        await process.until(up=False, within=3)
        await process.until(up=True)
        nodes[0].thaw()


async def test_one_whose_writes_wait_is_down_by_name_though_it_answers_pings(own_redis: RedisServer):
    async with processes(own_redis.url, 1, look_s=LOOK_S) as [process]:
        await tell(own_redis, "CLIENT", "PAUSE", "60000", "WRITE")
        await fault_is(process.link, "paused", within=4)
        assert process.link.up
        await tell(own_redis, "CLIENT", "UNPAUSE")
        await fault_is(process.link, None, NOTICED_S)


async def test_as_many_clients_as_it_takes_are_named(own_redis: RedisServer):
    async with processes(own_redis.url, 1, look_s=LOOK_S) as [process]:
        await process.link.ask(("CONFIG", "SET", "maxclients", "1"))
        answers = await asyncio.gather(*(ping(process) for _ in range(4)))
        assert set(answers) == {True, False}
        assert process.link.fault is not None
        assert process.link.fault.name == "max_clients"
        assert process.link.up


async def ping(process: RedisProcess) -> bool:
    try:
        await process.link.ask(("ECHO", "a"))
    except Away:
        return False
    return True
