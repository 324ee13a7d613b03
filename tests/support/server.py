"""The real service in a process of its own, as `chatorch serve` runs it, for tests that kill and restart it."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.preloaded import PreloadedProcess

BINARY = str(Path(sys.executable).with_name("chatorch"))
START_S = 20.0
STOP_S = 15.0
PASSWORD = "correct horse battery"


class Server:
    """`settings` are environment variables. The folder holds the SQLite file and the log; it outlives restarts.

    `tokens` are those of the users who are signed in, `arguments` go to `chatorch serve`. `from_scratch` is for tests
    of the start itself; else what is imported is there already, but in the workers of a server of several processes.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "SECRET_KEY": secrets.token_hex(32),
            "DATABASE_URL": f"sqlite:///{folder}/chat.db",
            "CHATORCH_LOG_FORMAT": "json",
            "CHATORCH_CHATKIT_SERVER": "false",  # it takes a second of each start
            **settings,
        }
        self.process: subprocess.Popen[bytes] | PreloadedProcess | None = None
        self.tokens: dict[str, str] = {}
        self.arguments: tuple[str, ...] = ()
        self.from_scratch = False

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHATORCH_", "OPENAI_"))}
        return inherited | self.settings

    @property
    def log(self) -> str:
        with suppress(FileNotFoundError):
            return (self.folder / "server.log").read_text()
        return ""

    @property
    def records(self) -> list[dict]:
        """What the server logged so far, over all its starts. A line of which only a part is there is left out."""
        return [json.loads(line) for line in self.log.rpartition("\n")[0].splitlines()]

    @property
    def errors(self) -> list[dict]:
        return [record for record in self.records if record["level"] in {"error", "critical"}]

    def logged(self, event: str) -> int:
        """How often."""
        return sum(record["event"] == event for record in self.records)

    def launch(self) -> None:
        """Starts the process, and does not wait for it: `start` then does, so that several come up at once.

        In a process group of its own, as a shell does with a command.
        """
        serve = ["serve", "--port", str(self.port), *self.arguments]
        log_file = self.folder / "server.log"
        if not self.from_scratch:
            self.process = PreloadedProcess(serve, env=self.environment, cwd=self.folder, log=log_file)
            return
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, *serve],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    async def start(self) -> None:
        """Returns once the server is ready to serve."""
        if self.process is None or self.process.poll() is not None:
            self.launch()
        assert self.process is not None
        deadline = time.monotonic() + START_S
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/health/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.log[-4000:]}")

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """As a terminal does: to the whole process group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    async def exited(self, timeout_s: float = STOP_S) -> int:
        """Waits for the process to end and returns its exit status."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, timeout_s)

    async def kill(self) -> None:
        """As `kill -9`."""
        self.send_signal(signal.SIGKILL)
        await self.exited()

    async def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.send_signal(signal.SIGTERM)
        try:
            await self.exited()
        except subprocess.TimeoutExpired:
            await self.kill()

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`chatorch …` with this server's settings."""
        return subprocess.run(
            [BINARY, *arguments],
            input=stdin,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def client(self, username: str = "alice") -> httpx.AsyncClient:
        """Signed in as a user, who is added where there is none yet. To be closed by the caller."""
        client = httpx.AsyncClient(base_url=self.url, timeout=30)
        if username not in self.tokens:
            await asyncio.to_thread(self.command, "users", "add", username, "--password-stdin", stdin=PASSWORD)
            form = {"grant_type": "password", "username": username, "password": PASSWORD}
            answer = await client.post("/token", data=form)
            self.tokens[username] = answer.raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {self.tokens[username]}"
        return client


@asynccontextmanager
async def running(folder: Path, **settings: str) -> AsyncIterator[Server]:
    async with serving(Server(folder, **settings)) as server:
        yield server


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Starts it for as long as the block lasts; the block may kill and start it again."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def parse_events(text: str) -> list[dict]:
    """The JSON of each whole server-sent event in `text`, comments left out."""
    found = []
    for block in text.split("\n\n")[:-1]:
        data = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
        if data:
            found.append(json.loads("\n".join(data)))
    return found


def shown(events: list[dict]) -> str:
    """What a client shows: delta appends, snapshot replaces."""
    text = ""
    for event in events:
        if event["type"] == "message.delta":
            text += event["text"]
        elif event["type"] == "message.snapshot":
            text = event["text"]
    return text
