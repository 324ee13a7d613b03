"""`chatorch doctor`: what it finds on this machine, and through a real server's address."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatorch.adapters.offline_model import OfflineChatModel
from chatorch.adapters.system import SystemClock
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.entrypoints.doctor.finding import Amiss, Finding, looked
from chatorch.entrypoints.doctor.outside import look_outside
from tests.support.api import running_api, sqlite_copy
from tests.support.ws import served, token_of
from tests.unit.entrypoints.test_cli import _own_folder_and_settings as _own_folder_and_settings  # noqa: PLC0414  # used by pytest
from tests.unit.entrypoints.test_cli import chatorch

SECRET = "canary4711"


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_line_each_and_status_0_where_all_is_well(
    monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_copy(migrated_sqlite, tmp_path))
    result = chatorch("doctor")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.partition(": ok, ")[0] for line in lines] == [
        "settings",
        "store",
        "lock",
        "Redis",
        "provider",
        "clock",
    ]
    assert "offline model" in lines[4]


def test_what_is_amiss_is_said_in_one_line_each_with_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-{SECRET}")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{closed_port()}/v1?key={SECRET}")
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{closed_port()}/0")
    result = chatorch("doctor", "--url", f"http://127.0.0.1:{closed_port()}")
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert result.exit_code == 1
    assert "chatorch migrate" in lines["store"]
    assert "nothing listens" in lines["Redis"]
    assert "connection refused" in lines["provider's models"]
    assert "nothing listens" in lines["public /health"]
    assert SECRET not in result.output
    assert "Traceback" not in result.output


def test_wrong_settings_are_its_first_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    result = chatorch("doctor")
    assert result.exit_code == 1
    assert result.stdout.startswith("settings: NOT OK: DATABASE_URL")


async def test_every_look_through_the_address_of_a_real_server(migrated_sqlite: Path, tmp_path: Path) -> None:
    async with running_api(database_url=sqlite_copy(migrated_sqlite, tmp_path)) as api, served(api) as door:
        alice, settings, url = await api.user("alice"), api.container.settings(), f"http://127.0.0.1:{door.port}"
        found = await look_outside(url, settings, None)
        assert [one for one in found if not one.well] == []
        assert len(found) == 6
        assert "left out" in found[-1].words
        [*_, burst] = await look_outside(url, settings, token_of(alice))
        assert not burst.well
        [*_, refused] = await look_outside(url, settings, SECRET)
        assert "is the token good?" in refused.words


async def test_pieces_that_come_one_by_one_are_seen_also_as_a_guest(migrated_sqlite: Path, tmp_path: Path) -> None:
    url, model = sqlite_copy(migrated_sqlite, tmp_path), OfflineChatModel(SystemClock())
    swapped: dict[str, object] = {"chat_model": model}
    async with running_api(database_url=url, anonymous_chat=True, swapped=swapped) as api, served(api) as door:
        [*_, stream] = await look_outside(f"http://127.0.0.1:{door.port}", api.container.settings(), None)
    assert (stream.well, stream.words) == (True, "pieces arrive one by one")


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that says the same to whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"no http", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])
async def test_something_else_at_the_address_is_a_finding(answer: bytes, migrated_sqlite: Path, tmp_path: Path) -> None:
    async with running_api(database_url=sqlite_copy(migrated_sqlite, tmp_path)) as api, answering(answer) as url:
        found = await look_outside(url, api.container.settings(), SECRET)
    assert [one.topic for one in found if one.well] == []
    assert not any(SECRET in one.words for one in found)


async def test_no_look_lasts_or_shows_a_librarys_words() -> None:
    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    async def raises(error: Exception) -> str:
        raise error

    assert await looked("it", hangs, within_s=0.01) == Finding("it", False, "no answer within 0.01 s")
    assert (await looked("it", lambda: raises(RuntimeError(SECRET)))).words == "it fails unexpectedly (RuntimeError)"
    assert (await looked("it", lambda: raises(Amiss("do this")))).words == "do this"
    assert "DNS" in (await looked("it", lambda: raises(UpstreamUnavailable(cause="DNS")))).words
