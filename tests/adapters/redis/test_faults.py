"""What is wrong is named, with what to do: a start is refused where somebody must act, and waits for what passes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis

from chatorch.adapters.redis.link import Away, RedisLink, RedisRefused
from tests.support.eventually import eventually
from tests.support.fake_redis import fake_redis
from tests.support.fakes import START
from tests.support.logged import logged
from tests.support.redis_process import fresh_prefix
from tests.support.redis_server import RedisServer
from tests.support.wire import wire_to

SECRET = "pa55word"


@asynccontextmanager
async def started(url: str, **settings: float) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, prefix=fresh_prefix(), **settings)
    await link.start()
    try:
        yield link
    finally:
        await link.aclose()


async def refusal(url: str) -> str:
    """Of a start: one line, which is the only one, and repeats no password."""
    with logged() as lines, pytest.raises(RedisRefused) as refused:
        await RedisLink(url).start()
    text = str(refused.value)
    assert "\n" not in text
    assert lines.lines == []
    assert SECRET not in text
    return text


async def fault_name(url: str) -> str | None:
    """Of what is waited for."""
    with logged() as lines:
        async with started(url) as link:
            assert not link.up
            with pytest.raises(Away):
                await link.ask(("PING",))
    [line] = lines.lines
    assert (line["event"], link.fault and line["code"]) == ("redis_lost", link.fault and link.fault.name)
    assert SECRET not in lines.text
    return link.fault.name if link.fault else None


async def named(link: RedisLink, name: str | None, within: float = 5.0) -> None:
    async def look() -> bool:
        return (link.fault.name if link.fault else None) == name

    await eventually(look, within)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"-LOADING Redis is loading the dataset in memory", "LOADING"),
        (b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"),
        (b"-READONLY You can't write against a read only replica.", "READONLY"),
        (b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "BUSY"),
        (b"-MISCONF Redis is configured to save RDB snapshots, but is currently not able to.", "MISCONF"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        (b"-ERR max number of clients reached", "max_clients"),
        (b"-NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
    ],
)
async def test_what_passes_is_waited_for_and_named(redis_server: RedisServer, line: bytes, name: str):
    async with fake_redis(line) as fake, wire_to(fake.port) as wire, started(f"redis://127.0.0.1:{wire.port}") as link:
        assert not link.up
        assert link.fault is not None
        assert link.fault.name == name
        assert link.fault.advice
        wire.lead_to(redis_server.port)
        await named(link, None)
        assert await link.ask(("ECHO", "there"))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"-NOAUTH Authentication required.", "NOAUTH"),
        (b"-WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        (b"-ERR invalid password", "WRONGPASS"),
        (b"-MOVED 3999 127.0.0.1:6381", "Cluster"),
        (b"-CLUSTERDOWN Hash slot not served", "Cluster"),
        (b"-ERR unknown command `EVALSHA`, with args beginning with: `chatorch:0:x`", "redis+sentinel"),
        (b"HTTP/1.1 400 Bad Request", "protocol"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "rediss"),
        (b"-DENIED Redis is running in protected mode because protected mode is enabled", "protected_mode"),
    ],
)
async def test_what_somebody_must_mend_refuses_the_start_in_one_line(line: bytes, word: str):
    async with fake_redis(line) as fake:
        assert word in await refusal(f"redis://127.0.0.1:{fake.port}")


async def test_a_real_one_refuses_users_passwords_and_numbers_by_name(redis_server: RedisServer):
    place = f"127.0.0.1:{redis_server.port}"
    assert "WRONGPASS" in await refusal(f"redis://nobody:{SECRET}@{place}/0")
    assert "it has no password" in await refusal(f"redis://:{SECRET}@{place}/0")
    assert "database_number" in await refusal(f"redis://{place}/99")


async def test_a_cluster_is_refused_by_name_whatever_the_number(redis_server: RedisServer):
    node = RedisServer("--cluster-enabled", "yes", most_port=55_000)
    node.start()
    try:
        for number in (0, 1):
            assert "Redis Cluster" in await refusal(f"redis://127.0.0.1:{node.port}/{number}")
        client = Redis(port=node.port)
        await client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        await client.aclose()
        assert "Redis Cluster" in await refusal(f"redis://127.0.0.1:{node.port}/0")
    finally:
        node.destroy()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"redis://:{SECRET}@127.0.0.1:1", "refused"),
        (f"redis://:{SECRET}@no-such-host.invalid:6379", "dns"),
        ("unix:///nowhere/redis.sock", "no_socket"),
    ],
)
async def test_what_is_not_there_yet_is_waited_for_and_named(url: str, name: str):
    assert await fault_name(url) == name


async def test_one_that_takes_connections_and_never_answers_is_named_within_two_seconds():
    async with fake_redis(b"") as fake:
        began = asyncio.get_running_loop().time()
        assert await fault_name(f"redis://127.0.0.1:{fake.port}") == "timeout"
        assert asyncio.get_running_loop().time() - began < 2.5


async def test_tls_that_cannot_be_trusted_or_is_none_refuses_the_start(tmp_path: Path):
    trusted_by_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted_by_nobody.load_cert_chain(self_signed(tmp_path / "redis.pem"))
    for context, name in ((trusted_by_nobody, "certificate"), (None, "tls")):
        server = await asyncio.start_server(say_no, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        assert f"{name}: " in await refusal(f"rediss://127.0.0.1:{port}")
        server.close()


async def say_no(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"-ERR what is that?\r\n")
    writer.close()


def self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(START).not_valid_after(START + timedelta(days=36_500))
    signed = builder.sign(key, hashes.SHA256())
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(Encoding.PEM))
    return path
