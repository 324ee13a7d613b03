"""The link to Redis: wrong URLs, a password that is wrong, a process that dies."""

import asyncio
import gc

import pytest

from chatorch.adapters.redis.link import Away, RedisLink
from chatorch.domain.model.conversation import RunId
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.presence import ClientId, Device, PresenceChanged, PresenceStatus
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.mailbox import KeptMailbox
from tests.support.redis_process import RedisProcess, fresh_prefix, processes
from tests.support.redis_server import RedisServer

SECRET = "pa55word"
ANN = UserId("usr_ann")
PHONE, TABLET = Device(ANN, ClientId("phone")), Device(ANN, ClientId("tablet"))


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@localhost",
        f"redis://:{SECRET}/x@localhost:1",
        f"redis://:{SECRET}@localhost:port",
        f"redis://:{SECRET}@localhost?max_connections=many",
        f"redis://:{SECRET}@localhost?colour=red",
        f"redis://:{SECRET}@[::1",
        "",
    ],
)
def test_a_wrong_url_is_refused_in_one_line_that_repeats_no_password(url: str):
    with pytest.raises(ValueError, match="REDIS_URL") as refused:
        RedisLink(url)

    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_password_that_is_set_meanwhile_is_asked_for_by_name(own_redis: RedisServer):
    with logged() as lines:
        async with processes(own_redis.url, 1) as [process]:
            await process.link.ask(("CONFIG", "SET", "requirepass", SECRET))
            await process.link.ask(("CLIENT", "KILL", "TYPE", "pubsub"))
            await process.until(up=False)

            async def named() -> bool:
                return process.link.fault is not None and process.link.fault.name == "NOAUTH"

            await eventually(named)
    assert "NOAUTH" in {line.get("code") for line in lines.named("redis_lost")}
    assert SECRET not in lines.text


async def test_scripts_that_redis_has_lost_are_given_to_it_again(redis_server: RedisServer):
    process = RedisProcess(redis_server.url, fresh_prefix())
    await process.start()
    await process.link.ask(("SCRIPT", "FLUSH"))

    assert await process.run_control.watched([]) == frozenset()
    await process.connections.broadcast(PresenceChanged(PHONE.client_id, PresenceStatus.LEFT))
    await process.aclose()


async def test_a_command_that_redis_refuses_ends_nothing_and_is_logged_once_a_minute(redis_server: RedisServer):
    with logged() as lines:
        link = RedisLink(redis_server.url, prefix=fresh_prefix())
        await link.start()
        for _ in range(3):
            with pytest.raises(Away):
                await link.ask(("LPUSH", "a"), ("PING",))
        assert await link.ask(("PING",))
        await link.aclose()
    [line] = lines.lines
    assert (line["event"], line["code"]) == ("redis_refuses", "ResponseError")


async def test_a_redis_that_goes_on_refusing_is_told_of_again(redis_server: RedisServer):
    with logged() as lines:
        link = RedisLink(redis_server.url, prefix=fresh_prefix(), remind_s=0.05)
        await link.start()

        async def told_again() -> bool:
            with pytest.raises(Away):
                await link.ask(("LPUSH", "a"))
            return len(lines.named("redis_refuses")) == 3

        await eventually(told_again)
        await link.aclose()


@pytest.mark.parametrize("scripted", [False, True])
async def test_a_full_redis_is_told_by_its_code_and_nothing_of_what_it_holds(own_redis: RedisServer, scripted: bool):
    async with processes(own_redis.url, 1) as [process]:
        await process.link.ask(("CONFIG", "SET", "maxmemory", "1"))
        with logged() as lines:
            if scripted:
                await process.run_control.watched([RunId(SECRET)])
            else:
                with pytest.raises(Away):
                    await process.link.ask(("SET", SECRET, SECRET))
    [line] = lines.lines
    assert (line["event"], line["code"]) == ("redis_refuses", "OOM")
    assert SECRET not in lines.text


async def test_what_is_posted_is_answered_each_by_itself(redis_server: RedisServer):
    link = RedisLink(redis_server.url, prefix=fresh_prefix())
    await link.start()
    answers: list[object] = []
    link.post(("ECHO", "a"), answers.append)
    link.post(("LPUSH", "a"), answers.append)
    link.post(("ECHO", "b"), answers.append)

    async def all_answered() -> bool:
        return len(answers) == 3

    await eventually(all_answered)
    assert answers == [b"a", None, b"b"]
    await link.aclose()


async def test_what_is_kept_is_tried_until_redis_takes_it_and_holds_up_nothing(redis_server: RedisServer):
    link = RedisLink(redis_server.url, prefix=fresh_prefix())
    await link.start()
    key = f"{link.prefix}list"
    await link.ask(("SET", key, "no list yet"))
    answers: list[object] = []
    link.post(("LPUSH", key, "kept"), answers.append, keep_s=10)
    link.post(("ECHO", "behind"), answers.append)

    async def behind_is_answered() -> bool:
        return answers == [b"behind"]

    async def kept_is_answered() -> bool:
        return answers == [b"behind", 1]

    await eventually(behind_is_answered)
    await link.ask(("DEL", key))
    await eventually(kept_is_answered)
    await link.aclose()


async def test_a_message_nobody_understands_is_ignored(redis_server: RedisServer):
    prefix = fresh_prefix()
    one, other = RedisProcess(redis_server.url, prefix), RedisProcess(redis_server.url, prefix)
    await one.start()
    await other.start()
    phone = KeptMailbox()
    with logged() as lines:
        one.connections.attach(PHONE, phone)
        assert await one.link.confirmed(f"{one.link.prefix}user:{ANN}")
        for nonsense in (b"", b"\xff\xfe", b"joined", b"{}", b"replaced", b"left \xff"):
            await other.link.ask(("PUBLISH", f"{one.link.prefix}user:{ANN}", nonsense))
        await other.link.ask(("PUBLISH", f"{one.link.prefix}everyone", b"nonsense"))
        await one.link.ask(("PING",))
        event = PresenceChanged(TABLET.client_id, PresenceStatus.LEFT)
        await other.connections.broadcast(event)

        async def given() -> bool:
            return event in phone.events

        await eventually(given)
    assert {line["event"] for line in lines.lines} == {"redis_message_ignored"}
    await other.aclose()
    await one.aclose()


async def test_nothing_of_it_is_left_when_it_is_closed(redis_server: RedisServer):
    before = asyncio.all_tasks()
    process = RedisProcess(redis_server.url, fresh_prefix())
    await process.start()
    await process.aclose()
    gc.collect(1)

    assert asyncio.all_tasks() == before
