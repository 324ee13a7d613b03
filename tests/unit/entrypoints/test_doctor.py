"""`chatorch doctor`: what it finds on this machine, and through a real server's address."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from chatorch.adapters.models.offline import OfflineChatModel
from chatorch.adapters.system import SystemClock
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.entrypoints.doctor.finding import Amiss, Finding, looked
from chatorch.entrypoints.doctor.outside import look_outside
from chatorch.entrypoints.doctor.piecewise import Arrivals, answer_piece_by_piece
from chatorch.entrypoints.settings import Settings
from tests.adapters.tools.test_python_installed import install
from tests.support.api import running_api, sqlite_copy
from tests.support.certificates import Authority
from tests.support.logged import logged
from tests.support.mcp_tools import TOY
from tests.support.ways import NOWHERE, answering, closed_port, tls_context
from tests.support.ws import served, token_of
from tests.unit.entrypoints.test_cli import _own_folder_and_settings as _own_folder_and_settings  # noqa: PLC0414  # used by pytest
from tests.unit.entrypoints.test_cli import chatorch

SECRET = "canary4711"
MOVED = b"HTTP/1.1 308 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
TOPICS = [
    *("address", "/health", "request id", "WebSocket", "own Origin", "foreign Origin", "body cap", "event stream"),
]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command sets up its own."""
    with logged():
        yield


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
    assert not (tmp_path / "chat.db.lock").exists()  # as this user's, it would keep the server's out


def test_what_is_amiss_is_said_in_one_line_each_with_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-{SECRET}")
    monkeypatch.setenv("CHATORCH_MODLE", SECRET)
    monkeypatch.setenv("CHATORCH_DOCTOR_TOKEN", SECRET)
    with closed_port() as port:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1?key={SECRET}")
        monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{port}/0")
        result = chatorch("doctor", "--url", f"http://127.0.0.1:{port}")
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert list(lines) == [
        "settings", "store", "lock", "Redis", "provider's models", "provider's answer", "clock", "public address",
    ]  # fmt: skip
    assert (result.exit_code, result.stderr) == (1, "")
    assert "chatorch migrate" in lines["store"]
    assert "nothing listens" in lines["Redis"]
    assert "connection refused" in lines["provider's models"]
    assert lines["settings"] == "NOT OK: CHATORCH_MODLE: is no setting; did you mean CHATORCH_MODEL?"
    assert [topic for topic in lines if topic.startswith("public")] == ["public address"]
    assert "nothing listens" in lines["public address"]
    assert list(tmp_path.iterdir()) == []
    assert SECRET not in result.output
    assert "Traceback" not in result.output


def test_tools_have_a_line_each_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", sqlite_copy(migrated_sqlite, tmp_path))
    monkeypatch.setenv("CHATORCH_MCP_SERVERS", "toy,dies,speaks,none,away")
    monkeypatch.setenv("CHATORCH_MCP_TOY_COMMAND", shlex.join(TOY))
    monkeypatch.setenv("CHATORCH_MCP_DIES_COMMAND", f"sh -c 'exit 3' {SECRET}")
    script = r"echo one >&2; printf 'no \033licence\n' >&2; echo >&2; exit 1"
    monkeypatch.setenv("CHATORCH_MCP_SPEAKS_COMMAND", shlex.join(("sh", "-c", script)))
    monkeypatch.setenv("CHATORCH_MCP_NONE_COMMAND", f"no-such-program {SECRET}")
    source = f"def fine() -> None: ...\ndef odd(*{SECRET}) -> None: ..."
    install(tmp_path, "doctored", source, {"fine": "doctored:fine", "odd": "doctored:odd", "gone": "doctored:gone"})
    monkeypatch.syspath_prepend(tmp_path)
    with closed_port() as port:
        monkeypatch.setenv("CHATORCH_MCP_AWAY_URL", f"http://127.0.0.1:{port}/{SECRET}")
        monkeypatch.setenv("CHATORCH_TOOLS_NEED_APPROVAL", "fine,toy__*,toys__*,odd")
        result = chatorch("doctor")
    lines = result.stdout.splitlines()
    gone = "gone of doctored-tools: it cannot be loaded (AttributeError: gone)"
    odd = f"odd of doctored-tools: odd: it takes *{SECRET}: each parameter must have a name"
    unused = "no tool that is there is meant in CHATORCH_TOOLS or CHATORCH_TOOLS_NEED_APPROVAL by odd, toys__*"
    assert lines[6:] == [
        f"installed tools: NOT OK: not offered: {gone}; {odd}",
        "MCP server toy: ok, it answers; tools: 1",
        "MCP server dies: NOT OK: the program ended with status 3",
        "MCP server speaks: NOT OK: the program ended with status 1; it said: no licence",
        "MCP server none: NOT OK: there is no program no-such-program",
        "MCP server away: NOT OK: it cannot be reached",
        f"rules of tools: NOT OK: {unused}",
    ]
    assert result.exit_code == 1


def test_wrong_settings_are_its_first_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    result = chatorch("doctor")
    assert result.exit_code == 1
    assert result.stdout.startswith("settings: NOT OK: DATABASE_URL")


async def test_every_look_through_the_address_of_a_real_server(migrated_sqlite: Path, tmp_path: Path) -> None:
    given = {"database_url": sqlite_copy(migrated_sqlite, tmp_path), "body_cap_bytes": 100_000}
    async with running_api(**given) as api, served(api) as door:
        alice, settings, url = await api.user("alice"), api.container.settings(), f"http://127.0.0.1:{door.port}"
        found = await look_outside(url, settings, None)
        assert [one for one in found if not one.well] == []
        assert [one.topic.removeprefix("public ") for one in found] == TOPICS
        assert "left out" in found[-1].words
        async with aiohttp.ClientSession() as session:
            with pytest.raises(Amiss, match="came all at once"):
                await answer_piece_by_piece(session, url, token=token_of(alice))
            api.model.then(UpstreamUnavailable())
            with pytest.raises(Amiss, match="the run failed"):
                await answer_piece_by_piece(session, url, token=token_of(alice))
            with pytest.raises(Amiss, match="is the token good"):
                await answer_piece_by_piece(session, url, token=SECRET)
            with pytest.raises(Amiss, match="CHATORCH_ANONYMOUS_CHAT"):
                await answer_piece_by_piece(session, url, token=None)
        assert (await alice.get("/api/threads")).json()["data"] == []


async def test_pieces_that_come_one_by_one_are_seen_also_as_a_guest(migrated_sqlite: Path, tmp_path: Path) -> None:
    url, model = sqlite_copy(migrated_sqlite, tmp_path), OfflineChatModel(SystemClock())
    swapped: dict[str, object] = {"chat_model": model}
    async with running_api(database_url=url, anonymous_chat=True, swapped=swapped) as api, served(api) as door:
        [*_, stream] = await look_outside(f"http://127.0.0.1:{door.port}", api.container.settings(), None)
    assert (stream.well, stream.words) == (True, "pieces arrive one by one")


@asynccontextmanager
async def spoiling(there: int) -> AsyncIterator[int]:
    """A proxy that names itself as the host, drops a header both ways, and keeps an event stream until it is whole."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", there)
            server_writer.write(spoilt(head))
            up = asyncio.create_task(run_control(reader, server_writer, spoilt))
            answer = await server_reader.readuntil(b"\r\n\r\n")
            if b"text/event-stream" in answer:
                kept = await server_reader.readuntil(b"\r\n0\r\n\r\n")
                writer.write(answer + kept)
            else:
                writer.write(answer)
                await run_control(server_reader, writer)
            up.cancel()
            server_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0)


def spoilt(head: bytes) -> bytes:
    head = re.sub(rb"(?im)^x-request-id:.*\r\n", b"", head)
    return re.sub(rb"(?im)^host:.*\r", b"host: backend\r", head)


async def run_control(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, changed: Callable[[bytes], bytes] = bytes
) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(changed(data))
            await writer.drain()
        writer.close()


@pytest.mark.parametrize(
    ("answer", "topic", "words"),
    [
        (b"", "address", "closes the connection without an answer"),
        (b"no http", "address", "does not speak HTTP, or wants https"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "/health", "is not chatorch"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"status": "ok"}\n', "/health", "is not chatorch"),
        (b"HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "/health", "status 404 in place of 200"),
        (
            b"HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "body cap",
            "answered with 404, not 413",
        ),
        (b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "body cap", "is refused on the way"),
        (b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", "WebSocket", "answered with status 502"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "own Origin", "is taken for a foreign one"),
        (MOVED % b"https://chat.example.com/x?canary4711", "address", "redirects to https://chat.example.com;"),
        (MOVED % b"/login?canary4711", "address", "redirects to another path;"),
        (MOVED % b"http://[", "address", "it redirects;"),
    ],
)
async def test_something_else_at_the_address_is_a_finding(answer: bytes, topic: str, words: str) -> None:
    async with answering(answer) as port:
        found = await look_outside(f"http://127.0.0.1:{port}", Settings(secret_key="s" * 32), SECRET)
    assert {one.topic for one in found if one.well} <= {"public address", "public foreign Origin"}
    assert words in {one.topic: one.words for one in found}[f"public {topic}"]
    assert not any(SECRET in one.words for one in found)


async def test_why_the_address_is_not_reached_is_told(tmp_path: Path) -> None:
    settings = Settings(secret_key="s" * 32)

    async def why(url: str) -> str:
        [finding] = await look_outside(url, settings, None)
        assert SECRET not in finding.words
        return finding.words

    authority = Authority(tmp_path)
    async with (
        answering(b"hi", tls_context(authority.issue("127.0.0.1"))) as trusted_by_nobody,
        answering(b"hi") as plain,
    ):
        assert "not trusted (unable to get local issuer" in await why(f"https://127.0.0.1:{trusted_by_nobody}")
        assert "closes the connection" in await why(f"http://127.0.0.1:{trusted_by_nobody}")
        assert "is it https there?" in await why(f"https://127.0.0.1:{plain}")
    with closed_port() as port:
        assert "nothing listens" in await why(f"http://mallory:{SECRET}@127.0.0.1:{port}")
    assert "cannot be resolved" in await why(f"http://{NOWHERE}")
    for url in ("chat.example.com", "", "ws://x", "http://x/?a", f"https://{SECRET}:port", "http://[::1"):
        assert "is no address of the web" in await why(url)


async def test_what_a_proxy_takes_out_or_holds_back_is_found(migrated_sqlite: Path, tmp_path: Path) -> None:
    """The server answers, but for what the way to it does."""
    url, model = sqlite_copy(migrated_sqlite, tmp_path), OfflineChatModel(SystemClock(), piece_delay=0.005)
    given = {"database_url": url, "body_cap_bytes": 100_000, "swapped": {"chat_model": model}}
    async with running_api(**given) as api, served(api) as door:
        alice, settings = await api.user("alice"), api.container.settings()
        async with spoiling(door.port) as port:
            found = await look_outside(f"http://127.0.0.1:{port}", settings, token_of(alice))
        words = {one.topic.removeprefix("public "): one.words for one in found if not one.well}
        assert (await alice.get("/api/threads")).json()["data"] == []
    assert words.keys() == {"request id", "own Origin", "event stream"}
    assert "came all at once" in words["event stream"]


def arrivals(*chunks: tuple[bytes, float]) -> bool:
    seen = Arrivals()
    return True in [seen.one_by_one(data, at) for data, at in chunks]


START = b'id: 1\nevent: run.started\ndata: {"thread_id":"thr_1"}\n\n'
PIECE = b'id: 2\nevent: message.delta\ndata: {"text":"one "}\n\n'


def test_what_was_held_back_is_told_from_a_model_that_is_fast() -> None:
    assert arrivals((START, 0.0), (PIECE * 60, 0.2), (PIECE, 0.201)) is False  # held in a buffer until it was full
    assert arrivals((START + PIECE * 60, 0.0), (PIECE * 60, 0.3), (PIECE * 60, 0.6)) is False
    assert arrivals((START + PIECE * 60, 0.0)) is False
    assert arrivals((START, 0.0), (PIECE, 0.2), (PIECE * 60, 0.201)) is True
    assert arrivals((START + PIECE, 0.0), (PIECE, 0.05), (PIECE, 0.1)) is True
    assert arrivals((START + PIECE, 0.0), (PIECE, 0.01), (PIECE, 0.02), (PIECE, 0.03)) is False


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
