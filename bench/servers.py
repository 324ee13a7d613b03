"""The processes that are measured, each on a loopback port of its own, and gone when the block ends."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.load import Target

READY_S = 30.0
BINARIES = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], port: int, folder: str, **env: str) -> Iterator[int]:
    """Runs `command` until the block ends; yields its process id once `port` answers."""
    with Path(folder, f"{port}.log").open("wb") as output:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), **env}
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
    raise SystemExit(f"{running.args[:4]} did not start:\n{output.read_text()[-2000:]}")


@contextlib.contextmanager
def all_servers() -> Iterator[dict[str, Target]]:
    """Upstream, relay, tutorial and chatorch, by name."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatorch-bench-"))
        upstream = free_port()
        stack.enter_context(process([sys.executable, "-m", "bench.upstream", str(upstream)], upstream, folder))
        origin = f"http://127.0.0.1:{upstream}"
        targets = {"upstream": Target("upstream", upstream, 0, "/v1/chat/completions")}
        for name, path in (("relay", "/"), ("tutorial", "/api/chat")):
            port = free_port()
            command = [str(BINARIES / "uvicorn"), f"bench.{name}:app", "--port", str(port), "--log-level", "warning"]
            pid = stack.enter_context(process([*command, "--no-access-log"], port, folder, UPSTREAM=origin))
            targets[name] = Target(name, port, pid, path)
        targets["chatorch"] = stack.enter_context(chatorch(folder, origin))
        yield targets


@contextlib.contextmanager
def chatorch(folder: str, origin: str) -> Iterator[Target]:
    """The service as `chatorch serve` runs it: SQLite, a signed-in user, every answer stored and resumable."""
    port, command = free_port(), str(BINARIES / "chatorch")
    settings = {
        "SECRET_KEY": secrets.token_hex(32),
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"{origin}/v1",
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "CHATORCH_ALLOWED_MODELS": "*",
        "CHATORCH_MAX_LIVE_RUNS_PER_USER": "1000000",
    }
    password = secrets.token_hex(16)
    with process([command, "serve", "--port", str(port)], port, folder, **settings) as pid:
        adding = [command, "users", "add", "bench", "--password-stdin"]
        environment = {**os.environ, **settings}
        subprocess.run(adding, input=password, text=True, check=True, env=environment, cwd=folder, capture_output=True)
        form = {"grant_type": "password", "username": "bench", "password": password}
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/token", data) as answer:
            token = json.load(answer)["access_token"]
        yield Target("chatorch", port, pid, "/api/chat/protected", (f"authorization: Bearer {token}",))
