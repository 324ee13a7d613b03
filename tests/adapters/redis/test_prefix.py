"""Deployments that share a Redis and differ in their prefix, or in the database's number, see nothing of each other."""

import asyncio

import pytest
from redis.asyncio import Redis

from chatorch.adapters.redis.link import key_prefix
from chatorch.domain.model.content import Content
from chatorch.domain.model.conversation import MessageId, RunId, ThreadId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import Announcement, ClientId, Device, RunBegan
from chatorch.domain.model.run import LastContent, RunInterrupted, RunStarted
from chatorch.ports.run_control import CancelCall
from tests.adapters.redis.test_failover import text_of
from tests.support.fakes import START
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess
from tests.support.redis_server import RedisServer

RUN = RunId("run_1")
STARTED = RunStarted(1, ThreadId("thr_1"), MessageId("msg_1"), "a-model")
PHONE = Device(UserId("usr_ann"), ClientId("phone"))
PREFIXES = ("shop:", "shop", "shop1", "{shop}:")


async def test_nothing_crosses_and_every_key_and_channel_has_its_prefix(own_redis: RedisServer):
    deployments = [RedisProcess(own_redis.url, prefix) for prefix in PREFIXES]
    mailboxes = [KeptMailbox() for _ in deployments]
    for process, mailbox in zip(deployments, mailboxes, strict=True):
        await process.start()
        process.connections.attach(PHONE, mailbox)
    for number, process in enumerate(deployments):
        news = Announcement(f"news {number}", START)
        process.log.open(RUN, 1, STARTED)
        process.log.append(RUN, str(number))
        process.log.end(RUN, RunInterrupted(3))
        await process.log._publisher.publish()
        process.run_control.cancel(CancelCall(RUN))
        process.run_control.fence(RunId("run_2"), 1)
        process.connections.send(PHONE.user_id, RunBegan(RUN, STARTED))
        await process.run_control.watched([RUN])
        await process.connections.broadcast(news)
        await mailboxes[number].until(RunBegan(RUN, STARTED), news)
        assert await text_of(process.log) == str(number)
        assert await process.run_control.last_content([RUN]) == {RUN: LastContent(1, Content.of(str(number)))}
        assert await process.connections.count() == 1
    client = Redis(port=own_redis.port)
    names = [*await client.keys("*"), *await client.execute_command("PUBSUB", "CHANNELS")]
    begun = dict.fromkeys((process.link.prefix for process in deployments), 0)
    for name in names:
        [prefix] = [prefix for prefix in begun if name.decode().startswith(prefix)]
        begun[prefix] += 1
    assert len(set(begun.values())) == 1, "all have as many"
    assert min(begun.values()) > 10
    assert [mailbox.was_replaced for mailbox in mailboxes] == [False] * len(mailboxes)
    assert [len(mailbox.events) for mailbox in mailboxes] == [2] * len(mailboxes)
    await client.aclose()
    await asyncio.gather(*(process.aclose() for process in deployments))


@pytest.mark.parametrize(
    ("one", "other"), [(("a", 10), ("a1", 0)), (("a:", 1), ("a:1", 1)), (("a", 0), ("a:", 0)), (("a1", 1), ("a11", 1))]
)
def test_no_two_prefixes_and_numbers_are_one(one: tuple[str, int], other: tuple[str, int]):
    first, second = key_prefix(*one), key_prefix(*other)
    assert not first.startswith(second)
    assert not second.startswith(first)
    assert first.startswith(one[0])
