"""``sslmode`` and its files, as libpq has them: for the pool, for migrate and for the lock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatorch.adapters.sql import migrate, open_database, open_lock
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.certificates import Authority
from tests.support.postgres import Databases
from tests.support.postgres_tls import tls_before


@dataclass
class Servers:
    """Of each kind the port; behind them is one database."""

    name: str
    ours: Authority
    others: Authority
    ports: dict[str, int]

    def url(self, kind: str, query: str) -> str:
        return f"postgresql://chatorch@127.0.0.1:{self.ports[kind]}/{self.name}?{query}"


@pytest.fixture
async def servers(postgres: Databases, tmp_path: Path) -> AsyncIterator[Servers]:
    url = await postgres.fresh()
    ours, others = Authority(tmp_path), Authority(tmp_path, "others")
    address, _, name = url.rpartition("/")
    right, misnamed = ours.issue("127.0.0.1"), ours.issue("elsewhere.example")
    async with (
        tls_before(url, right) as good,
        tls_before(url, misnamed) as wrong,
        tls_before(url, right, clients=ours.root) as mutual,
        tls_before(url, right, direct=True) as direct,
    ):
        ports = {"plain": int(address.rpartition(":")[2]), "tls": good, "misnamed": wrong, "mutual": mutual}
        yield Servers(name, ours, others, {**ports, "direct": direct})


async def attempt(url: str) -> str | None:
    """None where the pool, migrate and the lock all got in; else why not, which is the same for all."""
    database, lock = open_database(url, pool_size=1), open_lock(url)
    reasons: set[str | None] = set()
    for what in (database.ping, lambda: migrate(database), lock.acquire):
        try:
            await what()
            reasons.add(None)
        except StoreUnavailable as error:
            reasons.add(str(error))
    await lock.release()
    await database.close()
    [reason] = reasons
    return reason


async def test_each_mode_takes_and_refuses_what_it_does_in_libpq(servers: Servers) -> None:
    ours, others = f"sslrootcert={servers.ours.root}", f"sslrootcert={servers.others.root}"
    untrusted, no_tls, misnamed = "certificate of the database's server", "does not speak TLS", "IP address mismatch"
    cases: list[tuple[str, str, str | None]] = [
        ("plain", "sslmode=disable", None),
        ("plain", "sslmode=allow", None),
        ("plain", "sslmode=prefer", None),
        ("plain", "", None),
        ("plain", "sslmode=require", no_tls),
        ("plain", f"sslmode=verify-ca&{ours}", no_tls),
        ("plain", f"sslmode=verify-full&{ours}", no_tls),
        ("tls", "sslmode=disable", "pg_hba.conf"),
        ("tls", "sslmode=allow", None),
        ("tls", "sslmode=prefer", None),
        ("tls", "", None),
        ("tls", "sslmode=require", None),
        ("tls", "ssl=true", None),
        ("tls", f"sslmode=require&{others}", untrusted),
        ("tls", f"sslmode=verify-ca&{ours}", None),
        ("tls", f"sslmode=verify-ca&{others}", untrusted),
        ("tls", f"sslmode=verify-full&{ours}", None),
        ("tls", "sslrootcert=system", untrusted),
        ("misnamed", f"sslmode=verify-ca&{ours}", None),
        ("misnamed", f"sslmode=verify-full&{ours}", misnamed),
        ("misnamed", f"sslmode=verify-full&{ours}&host=elsewhere.example&hostaddr=127.0.0.1", None),
        ("tls", f"sslmode=verify-full&{ours}&ssl_min_protocol_version=TLSv1.3", None),
        ("direct", f"sslmode=verify-full&{ours}&sslnegotiation=direct", None),
    ]
    for server, query, reason in cases:
        told = await attempt(servers.url(server, query))
        assert (told is None) if reason is None else (reason in (told or "")), (server, query, told)


async def test_a_client_shows_its_certificate_in_every_mode(servers: Servers) -> None:
    certificate, key = servers.ours.issue("chatorch", password="hunter2")
    mine = f"sslcert={certificate}&sslkey={key}&sslpassword=hunter2"
    for mode in ("prefer", "require", f"verify-full&sslrootcert={servers.ours.root}"):
        assert await attempt(servers.url("mutual", f"sslmode={mode}&{mine}")) is None
    assert await attempt(servers.url("mutual", "sslmode=require")) is not None


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sslmode=hunter2", "'sslmode' must be prefer or disable"),
        ("sslmode=verify-full&sslrootcert=/hunter2", "'sslrootcert' names a file that is not there"),
        ("sslmode=verify-full&sslrootcert={empty}", "'sslrootcert' names a file that is not what it must be"),
        ("sslmode=verify-full", "'sslmode' verify-full needs sslrootcert"),
        ("sslmode=require&sslrootcert=system", "'sslrootcert' may only be system where sslmode is verify-full"),
        ("sslcert=/hunter2", "'sslcert' names a file that is not there"),
        ("sslcert={certificate}&sslkey=/hunter2", "'sslkey' names a file that is not there"),
        ("sslcert={certificate}&sslkey={key}&sslpassword=hunter3", "sslkey and sslpassword do not fit"),
        ("sslmode=require&sslrootcert={root}&sslcrl=/hunter2", "'sslcrl' names a file that is not there"),
        ("sslmode=require&ssl_min_protocol_version=hunter2", "'ssl_min_protocol_version' must be TLSv1 or"),
        ("sslnegotiation=direct", "'sslnegotiation' may only be direct where sslmode is require"),
        ("channel_binding=require", "'channel_binding' cannot be required"),
        ("gssencmode=require", "'gssencmode' cannot be required"),
        ("require_auth=hunter2", "'require_auth' cannot be used here"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_the_name_of_the_parameter(
    tmp_path: Path, query: str, problem: str
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("chatorch", password="hunter2")
    (tmp_path / "empty").touch()
    query = query.format(empty=tmp_path / "empty", root=authority.root, certificate=certificate, key=key)
    for opening in (open_database, open_lock):
        with pytest.raises(ValueError) as refused:
            opening(f"postgresql://me@127.0.0.1:1/chat?{query}")
        assert problem in str(refused.value)
        assert "hunter" not in str(refused.value)
        assert "\n" not in str(refused.value)
