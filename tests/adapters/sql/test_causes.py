"""Why the store cannot be used, in one line that says what is missing."""

import socket
from pathlib import Path

import asyncpg
import pytest

from chatorch.adapters.sql import migrate, open_database, open_lock
from chatorch.adapters.sql.causes import cause_of
from chatorch.domain.model.errors import StoreUnavailable
from tests.support.certificates import Authority
from tests.support.postgres import Databases
from tests.support.ways import NOWHERE, answering, closed_port, silent_port, tls_context


async def reason(url: str, *, migrating: bool = False) -> str:
    database = open_database(url)
    with pytest.raises(StoreUnavailable) as refused:
        await (migrate(database) if migrating else database.start())
    await database.close()
    assert refused.value.detail == StoreUnavailable.default_detail, "clients are not told"
    assert "\n" not in str(refused.value)
    return str(refused.value)


async def test_what_a_role_lacks_is_named_with_its_sqlstate(postgres: Databases) -> None:
    url, empty = await postgres.fresh(), await postgres.fresh(migrated=False)
    admin = await asyncpg.connect(url)
    roles = "CREATE ROLE {0} LOGIN; CREATE ROLE {0}_out; CREATE ROLE {0}_none LOGIN CONNECTION LIMIT 0"
    role = f"low_{url.rsplit('_', 1)[1]}"
    await admin.execute(roles.format(role))

    assert "lacks a right to a schema" in await reason(empty.replace("chatorch@", f"{role}@"), migrating=True)
    for migrating in (False, True):
        told = await reason(url.replace("chatorch@", f"{role}@"), migrating=migrating)
        assert "lacks a right to a table; grant it, or use the role that owns the tables (SQLSTATE 42501)" in told
    assert "may not log in" in await reason(url.replace("chatorch@", f"{role}_out@"))
    assert "no connection left" in await reason(url.replace("chatorch@", f"{role}_none@"))
    assert "sslmode" in await reason(f"{url}?sslmode=require")
    for database in (url, empty):
        await admin.execute(f'ALTER DATABASE "{database.rsplit("/", 1)[1]}" SET default_transaction_read_only = on')
    assert "is read-only" in await reason(url)
    assert "is read-only" in await reason(empty, migrating=True)
    await admin.close()


@pytest.mark.parametrize(
    ("options", "state"), [("-cnosuch=hunter2", "42704"), ("-cwork_mem=hunter2", "22023"), ("hunter2", "42601")]
)
async def test_a_parameter_that_the_server_does_not_take_is_one_line(
    postgres: Databases, options: str, state: str
) -> None:
    url = f"{await postgres.fresh(migrated=False)}?options={options}"
    for migrating in (False, True):
        told = await reason(url, migrating=migrating)
        assert "see options in DATABASE_URL" in told
        assert state in told
        assert "hunter2" not in told
    with pytest.raises(StoreUnavailable, match="see options in DATABASE_URL"):
        await open_lock(url).acquire()


async def test_a_database_that_takes_no_connections_is_one_line(postgres: Databases) -> None:
    url, other = await postgres.fresh(migrated=False), await postgres.fresh(migrated=False)
    admin = await asyncpg.connect(other)
    await admin.execute(f'ALTER DATABASE "{url.rsplit("/", 1)[1]}" ALLOW_CONNECTIONS false')
    await admin.close()
    assert "takes no connections" in await reason(url, migrating=True)


async def test_a_way_that_leads_nowhere_is_named_for_pool_and_lock(tmp_path: Path) -> None:
    async def why(host: str, query: str = "connect_timeout=1") -> set[str]:
        url = f"postgresql://mallory:canary@{host}/chat?{query}"
        with pytest.raises(StoreUnavailable) as of_lock:
            await open_lock(url).acquire()
        return {await reason(url), str(of_lock.value)}

    authority = Authority(tmp_path)
    trusting = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={authority.root}"
    with closed_port() as closed, silent_port() as silent:
        for host, words in (
            (f"127.0.0.1:{closed}", "Nothing listens at the address of the database"),
            (f"127.0.0.1:{silent}", "The database does not answer in time."),
            (NOWHERE, "The name of the database's host cannot be resolved"),
        ):
            [told] = await why(host)
            assert words in told
            assert "canary" not in told
    async with answering(b"", tls_context(authority.issue("127.0.0.1", expired=True))) as port:
        [told] = await why(f"127.0.0.1:{port}", trusting)
        assert "is not trusted (certificate has expired)" in told
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        [told] = await why(f"127.0.0.1:{port}", "sslmode=require")
        assert "refuses the connection before TLS" in told or "does not speak TLS" in told


async def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"nothing of the kind " * 500)
    for migrating in (False, True):
        told = await reason(f"sqlite:///{tmp_path}/text.db", migrating=migrating)
        assert told == "DATABASE_URL names a file that is no SQLite database."
    folder = tmp_path / "gone"
    folder.mkdir()
    gone = open_database(f"sqlite:///{folder}/chat.db")
    folder.rmdir()
    with pytest.raises(StoreUnavailable, match="is not there"):
        await gone.start()
    await gone.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.9', 5432)"), "Nothing listens"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 113] No route"), "Nothing listens"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (TimeoutError(), "does not answer in time"),
        (asyncpg.InvalidPasswordError('password authentication failed for user "mallory"'), "(SQLSTATE 28P01)"),
        (asyncpg.ProtocolViolationError("unsupported startup parameter: options"), "ignore_startup_parameters"),
        (asyncpg.DiskFullError("could not extend file"), "disk of PostgreSQL is full"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "starting"),
    ],
)
def test_each_cause_has_its_words_and_none_of_the_servers(error: Exception, words: str) -> None:
    told = cause_of(error)
    assert told is not None
    assert words in told
    assert "mallory" not in told
    assert "10.0" not in told
