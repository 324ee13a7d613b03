"""The rights that suffice, and what is said where one of them is missing. That they suffice, the contracts show."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from chatorch.adapters.redis.link import Away, RedisLink, RedisRefused
from chatorch.adapters.redis.vetting import rights
from tests.support.eventually import eventually
from tests.support.logged import logged
from tests.support.redis_process import RedisProcess
from tests.support.redis_server import RedisServer

PREFIX = "rights:"
DOCUMENTED = Path(__file__).parents[3] / "docs" / "redis.md"


class User:
    def __init__(self, server: RedisServer, name: str) -> None:
        self._server = server
        self._name = name
        self.url = f"redis://{name}:secret@127.0.0.1:{server.port}/0"

    async def may(self, *rules: str, keys: str = f"{PREFIX}*", channels: str = f"{PREFIX}*") -> None:
        patterns = ("resetkeys", f"~{keys}", "resetchannels", f"&{channels}")
        client = Redis(port=self._server.port)
        await client.execute_command("ACL", "SETUSER", self._name, "on", ">secret", *patterns, "-@all", *rules)
        await client.aclose()

    async def refusal(self) -> str:
        with pytest.raises(RedisRefused) as refused:
            await RedisLink(self.url, prefix=PREFIX).start()
        return str(refused.value)


@pytest.fixture
def user(redis_server: RedisServer, request: pytest.FixtureRequest) -> User:
    return User(redis_server, request.node.name.partition("[")[0])


def test_the_documented_rights_are_those_that_are_used():
    text = DOCUMENTED.read_text()
    assert f"-@all {' '.join(rights())}" in " ".join(text.replace("\\\n", " ").split())


async def test_every_missing_right_is_named_and_no_other(user: User):
    for missing in rights():
        await user.may(*(rule for rule in rights() if rule != missing))
        assert f"NOPERM: its user lacks {missing};" in await user.refusal()


async def test_several_missing_ones_are_named_at_once(user: User):
    await user.may(*(rule for rule in rights() if rule not in {"+xadd", "+ping", "+subscribe"}))
    assert "lacks +ping +subscribe +xadd;" in await user.refusal()


async def test_keys_and_channels_that_may_not_be_used_are_named(user: User):
    await user.may(*rights(), keys="other:*")
    assert f"lacks ~{PREFIX}0:*;" in await user.refusal()
    await user.may(*rights(), channels="other:*")
    assert f"lacks &{PREFIX}0:*;" in await user.refusal()


async def test_a_database_number_needs_one_right_more(user: User):
    await user.may(*rights())
    user.url = user.url.removesuffix("0") + "1"
    assert "lacks +select;" in await user.refusal()
    await user.may(*rights(1))
    link = RedisLink(user.url, prefix=PREFIX)
    await link.start()
    assert link.up
    await link.aclose()


async def test_a_right_that_is_taken_away_meanwhile_is_named_until_it_is_given_back(user: User):
    await user.may(*rights())
    with logged() as lines:
        process = RedisProcess(user.url, PREFIX, look_s=0.05)
        await process.start()
        await user.may(*(rule for rule in rights() if rule != "+zcount"))
        await process.connections.count()
        assert process.link.fault is not None
        assert process.link.fault.name == "NOPERM"
        named = 0

        async def tried_again_and_again() -> bool:
            nonlocal named
            named += process.link.fault is not None and "+zcount" in process.link.fault.advice
            return named > 5

        await eventually(tried_again_and_again)
        with pytest.raises(Away):
            await process.link.ask(("LPUSH", "a", "b"))
        await user.may(*rights())

        async def obeys() -> bool:
            return process.link.fault is None

        await eventually(obeys)
        await process.aclose()
    *refused, obeyed = lines.lines
    assert obeyed["event"] == "redis_obeys"
    for lacking in ("+zcount", "+lpush"):
        assert sum(lacking in line["reason"] for line in refused) == 1, "the log names each, once"
