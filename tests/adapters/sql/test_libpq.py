"""A PostgreSQL address as libpq takes it."""

import socket
from pathlib import Path

import pytest

from chatorch.adapters.sql.connecting import PostgresAddress, read_address
from tests.support.postgres import Databases, PostgresServer


def where(address: PostgresAddress) -> list[tuple[str, int]]:
    return [(host.where, host.port) for host in address.hosts]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://me@db/chat", [("db", 5432)]),
        ("postgresql://me@a:1,b:2/chat", [("a", 1), ("b", 2)]),
        ("postgresql://me@a,b:2/chat", [("a", 5432), ("b", 2)]),
        ("postgresql://me@/chat?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql://me@/chat?host=a,b&port=7", [("a", 7), ("b", 7)]),
        ("postgresql://me@[::1]:1,[::2]/chat", [("::1", 1), ("::2", 5432)]),
        ("postgresql://me@%2Fvar%2Frun/chat", [("/var/run", 5432)]),
        ("postgresql:///chat?user=me&host=/tmp&port=9", [("/tmp", 9)]),
        ("postgresql://me@a/chat?hostaddr=127.0.0.1", [("127.0.0.1", 5432)]),
    ],
)
def test_hosts_are_listed_in_the_authority_or_in_the_query(url: str, hosts: list[tuple[str, int]]) -> None:
    assert where(read_address(url)) == hosts


@pytest.mark.parametrize(
    ("url", "user", "password", "database"),
    [
        ("postgresql://me:pa%2Fss%40+1@db/chat%20room", "me", "pa/ss@+1", "chat room"),
        ("postgresql://me:pa/ss@db/chat", "me", "pa/ss", "chat"),
        ("postgresql://me:12/34@db/chat", "me", "12/34", "chat"),
        ("postgresql://db/chat?user=me&password=a%26b", "me", "a&b", "chat"),
        ("postgresql://me@db?dbname=chat", "me", None, "chat"),
        ("postgres://me@db:5433/chat?sslmode=disable&passfile=/a@b", "me", None, "chat"),
    ],
)
def test_who_and_what_is_decoded(url: str, user: str, password: str | None, database: str) -> None:
    address = read_address(url)
    assert (address.user, address.password, address.database) == (user, password, database)
    assert "ss" not in repr(address).removeprefix("<chatorch.adapters.sql.connecting.PostgresAddress")


def test_a_service_and_then_the_environment_say_what_the_url_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services"
    file.write_text("[chat]\nhost=from-service\nport=7\nuser=service\napplication_name=mine\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("PGDATABASE", "from-environment")
    monkeypatch.setenv("PGPORT", "8")
    address = read_address("postgresql://me@?service=chat")
    assert (where(address), address.user, address.name) == ([("from-service", 7)], "me", "mine")
    assert address.database == "from-environment"
    monkeypatch.setenv("PGSSLMODE", "hunter2")
    with pytest.raises(ValueError, match=r"^'?PGSSLMODE must be") as refused:
        read_address("postgresql://me@db/chat")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("connect_timeout=hunter2", "'connect_timeout' must be a whole number"),
        ("connect_timeout=99999999999", "'connect_timeout' must be at most 2147483647"),
        ("tcp_user_timeout=99999999999", "'tcp_user_timeout' must be at most 2147483647"),
        ("keepalives_idle=99999", "'keepalives_idle' must be at most 32767"),
        ("port=hunter2", "'port' must be a number from 1 to 65535"),
        ("host=a,b&port=1,2,3", "'port' must have one entry, or as many as host"),
        ("host=a,b&hostaddr=127.0.0.1", "'hostaddr' must have as many entries as host"),
        ("target_session_attrs=hunter2", "'target_session_attrs' must be any or read-write"),
        ("keepalives=hunter2", "'keepalives' must be 1 or 0"),
        ("load_balance_hosts=hunter2", "'load_balance_hosts' must be disable or random"),
        ("service=hunter2", "'service': there is no service of this name"),
        ("client_encoding=hunter2", "'client_encoding' can only be UTF8"),
        ("sslmode", "'sslmode' has no value"),
        ("pgbouncer=hunter2", "'pgbouncer' must be 1 or 0"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_parameter(query: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_address(f"postgresql://me@/chat?{query}")
    assert problem in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_of_passwords_that_others_may_read_does_not_count_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("*:*:*:*:hunter2\n")
    url = f"postgresql://me@/chat?passfile={file}"
    file.chmod(0o600)
    assert read_address(url).passfile == str(file)
    file.chmod(0o640)
    for given in (url, f"postgresql://me@/chat?passfile={tmp_path}"):
        with pytest.raises(ValueError, match="'passfile' names what is no file, or one that others may read"):
            read_address(given)


async def test_the_first_host_that_is_fit_is_taken_and_the_parameters_hold(
    postgres_server: PostgresServer, own_postgres: Databases
) -> None:
    name = (await own_postgres.fresh()).rsplit("/", 1)[1]
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres_server.port}"
    more = "connect_timeout=3&application_name=my%20chat&options=-c%20work_mem%3D8MB%20-c%20lock_timeout%3D1s"
    probes = "keepalives_idle=7&keepalives_interval=3&keepalives_count=2&tcp_user_timeout=9000"
    for session in ("any", "read-write", "primary", "prefer-standby"):
        address = read_address(f"postgresql://chatorch@{hosts}/{name}?target_session_attrs={session}&{more}&{probes}")
        connection = await address.connect(" lock")
        shown = [await connection.fetchval(f"SHOW {setting}") for setting in ("application_name", "work_mem")]
        assert shown == ["my chat lock", "8MB"]
        used = connection._transport.get_extra_info("socket")
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
        await connection.close()
