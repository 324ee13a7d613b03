"""The whole application without sockets: the real routes over stores in memory, and a model that says what it is told.

For histories by the thousand. A `Process` may be left for dead, and another one made over the same store.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from dependency_injector import providers

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.identity import Scope, User, UserId
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from chatorch.ports.chat_model import ChatModel, Finish, Piece, Prompt
from chatorch.ports.tokens import Claims
from tests.support.event_reader import EventReader
from tests.support.fakes import PROVIDER_USAGE, START, FakeClock, settle

ALICE = UserId("usr_alice")


class DictatedModel(ChatModel):
    """Says what the test dictates while the stream is open, to the latest call."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[Piece | Exception] = asyncio.Queue()

    def say(self, *said: Piece | Exception) -> None:
        for one in said:
            self._said.put_nowait(one)

    def finish(self) -> None:
        self.say(Finish("stop", PROVIDER_USAGE))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        while True:
            said = await self._said.get()
            if isinstance(said, Exception):
                raise said
            yield said
            if isinstance(said, Finish):
                return

    async def aclose(self) -> None: ...


class Connection(EventReader):
    """One request, and what came back. It hangs up by itself after `cut_after` bytes of body."""

    def __init__(self, cut_after: int | None) -> None:
        super().__init__()
        self.status = 0
        self.body = b""
        self._left = cut_after
        self._gone = asyncio.Event()
        self._request: bytes | None = None
        self.task: asyncio.Task[None]

    def open(self, app: Any, scope: dict[str, Any], body: bytes) -> None:
        self._request = body
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def leave(self) -> None:
        """Returns when the application has noticed."""
        self._gone.set()
        async with asyncio.timeout(5):
            await self.task

    async def _receive(self) -> dict[str, Any]:
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {bytes(name): bytes(value) for name, value in message["headers"]}
            self._streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        elif not self._gone.is_set():
            self._take(message.get("body", b""))

    def _take(self, data: bytes) -> None:
        if self._left is not None:
            data, self._left = data[: self._left], max(self._left - len(data), 0)
        self.body += data
        if self._streams:
            self.feed(data)
        if self._left == 0:
            self._gone.set()


class Process:
    """One process of the service, as good as alone on the store."""

    def __init__(self, store: MemoryStore) -> None:
        self.model = DictatedModel()
        self.container = Container(
            settings=Settings(secret_key="k" * 32, log_level="error", continue_within_s=0),
            clock=providers.Object(FakeClock()),
            users=providers.Object(store.users),
            threads=providers.Object(store.threads),
            run_store=providers.Object(store.runs),
            execution_store=providers.Object(store.execution_store),
            chat_model=providers.Object(self.model),
            store_lock=providers.Object(None),
        )
        self._app = create_app(self.container)
        self._app.state.started = True  # `begin` is all of its lifetime that is needed here
        claims = Claims(ALICE, frozenset({Scope.CHAT}), "tok_1", START, START + timedelta(days=1))
        self._authorization = f"Bearer {self.container.tokens().issue(claims)}".encode()

    async def begin(self) -> None:
        """As a process does that is alone on its store."""
        await self.container.lease_reaper().end_all()

    def connect(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str], cut_after: int | None
    ) -> Connection:
        connection = Connection(cut_after)
        raw = b"" if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", "content-length": str(len(raw)), **headers}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"authorization", self._authorization),
                *((name.encode(), value.encode()) for name, value in given.items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        connection.open(self._app, scope, raw)
        return connection

    async def ask(self, method: str, path: str, body: object = None) -> Connection:
        """The whole answer, of something that ends by itself."""
        connection = self.connect(method, path, body, headers={}, cut_after=None)
        async with asyncio.timeout(5):
            await connection.task
        await settle()
        return connection


async def store_with_alice() -> MemoryStore:
    store = MemoryStore()
    await store.users.add(User(ALICE, "alice", "", frozenset({Scope.CHAT}), False, START, START))
    return store
