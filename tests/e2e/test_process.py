"""The process: asked to stop at any time, as process 1 too, and served where an operator wants it."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.server import BINARY, Server
from tests.support.sizes import size

SOON_S = 3.0
"""At most; alone it takes some hundredths of one."""
WORDS = ("stopped by SIG", '"stopped"')


@pytest.fixture
def made(tmp_path: Path) -> Iterator["Made"]:
    made = Made(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


class Made:
    """Starts commands in a folder, with what a server of that folder is given."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **options: object) -> subprocess.Popen[bytes]:
        with (self.server.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=self.server.environment, cwd=self.server.folder, stdout=log, stderr=log, **options
            )  # type: ignore[call-overload]
        self.processes.append(process)
        return process

    async def logs(self, event: str, within: float = 20) -> None:
        async def found() -> bool:
            return f'"event":"{event}"' in self.server.log

        await eventually(found, within=within)


async def ended(process: subprocess.Popen[bytes], within: float = SOON_S) -> int:
    return await asyncio.to_thread(process.wait, within)


def caught_by(pid: int) -> set[int]:
    """The signals that have a handler: see proc(5), ``SigCgt``."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigCgt:")[2].split()[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


async def test_a_signal_while_it_imports_ends_it_with_a_word(made: Made):
    for round_number in range(size(3, 30)):
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[round_number % 3]
        process = made.start(sys.executable, "-m", "chatorch", "serve", "--port", "0")

        async def obeys(pid: int = process.pid) -> bool:
            return {signal.SIGTERM, signal.SIGHUP} <= caught_by(pid)

        await eventually(obeys, within=20, every=0.001)
        process.send_signal(number)
        assert await ended(process) == 128 + number
    assert made.server.log.count("stopped by SIG") == size(3, 30)
    assert "Traceback" not in made.server.log


async def test_a_signal_while_the_database_lets_it_wait_ends_it_with_a_word(made: Made):
    with sqlite3.connect(made.server.folder / "chat.db") as locked:
        locked.execute("BEGIN EXCLUSIVE")
        process = made.start(BINARY, "serve", "--uds", "s")

        async def waits() -> bool:
            return any("chat.db" in file for file in open_files(process.pid))  # its lock, at the least

        await eventually(waits, within=40)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        locked.rollback()
    assert any(word in made.server.log for word in WORDS)
    assert "Traceback" not in made.server.log
    assert not (made.server.folder / "s").exists()


async def test_process_1_serves_what_it_is_handed_reaps_orphans_and_obeys(made: Made):
    """In a PID namespace of its own, as in a container."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        handed = given.fileno()
        unshare = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
        outer = made.start(*unshare, BINARY, "serve", "--fd", str(handed), pass_fds=[handed])
        port = given.getsockname()[1]
        await made.logs("serving")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
        [first] = children_of(outer.pid)
        # Enters the namespace, and leaves an orphan there, which ends at once.
        enter = ["nsenter", "--target", str(first), "--pid", "sh", "-c", "(sleep 0.01; exit 3) & exit 0"]
        await asyncio.to_thread(subprocess.run, enter, check=True, timeout=10)

        async def only_the_server() -> bool:
            return len(children_of(first)) == 1

        await eventually(only_the_server)
        os.kill(first, signal.SIGTERM)
        assert await ended(outer) == 0
    [drained] = [line for line in made.server.records if line["event"] == "drained"]
    assert drained["signal"] == "SIGTERM"


async def test_on_a_unix_socket_below_a_prefix_behind_a_proxy_until_the_terminal_closes(made: Made):
    made.server.settings["CHATORCH_TRUSTED_PROXIES"] = "unix"
    process = made.start(
        sys.executable, "-m", "chatorch", "serve", "--uds", "s", "--root-path", "/chat", process_group=0
    )
    await made.logs("serving")
    transport = httpx.AsyncHTTPTransport(uds=str(made.server.folder / "s"))
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.example", headers=headers) as client:
        for path in ("/api/me", "/chat/api/me"):  # stripped, or not
            assert (await client.get(path)).status_code == 401
        document = (await client.get("/chat/openapi.json")).json()
        assert document["servers"] == [{"url": "/chat"}]
    lines = [line for line in made.server.records if line["event"] == "request"]
    assert {(line["client"], line["route"]) for line in lines[:2]} == {("198.51.100.7", "/api/me")}
    process.send_signal(signal.SIGHUP)
    assert await ended(process) == 0
    assert [line["signal"] for line in made.server.records if line["event"] == "drained"] == ["SIGHUP"]
    assert not (made.server.folder / "s").exists()


def test_help_is_shown_within_half_a_second(made: Made):
    def seconds() -> float:
        began_at = time.monotonic()
        subprocess.run([BINARY, "--help"], check=True, capture_output=True, timeout=10)
        return time.monotonic() - began_at

    assert min(seconds() for _ in range(3)) < 0.5


def open_files(pid: int) -> list[str]:
    return [str(handle.resolve()) for handle in Path(f"/proc/{pid}/fd").iterdir()]


def children_of(pid: int) -> list[int]:
    """Zombies too (proc_pid_task_children(5) may leave some out)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == pid:
                found.append(int(entry.name))
    return found
