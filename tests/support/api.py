"""The whole application in this process: real routes, services and SQLite; the model is scripted, hashing is cheap."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from dependency_injector import providers
from fastapi import FastAPI

from chatorch.adapters.identity.argon2_passwords import Argon2PasswordHasher
from chatorch.adapters.memory.stores import MemoryStore
from chatorch.domain.model.errors import StoreUnavailable
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.container import Container
from chatorch.entrypoints.settings import Settings
from tests.support.fakes import Pause, ScriptedChatModel, Step
from tests.support.sessions import sessions_in

PASSWORD = "correct horse battery"
SECRET_KEY = "a secret key for tests, 32 bytes long"
MODEL = "a-model"
BOUND_S = 5.0

RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass
class Api:
    """One running application. `clients` are closed with it."""

    app: FastAPI
    container: Container
    model: ScriptedChatModel
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    def anonymous(self, **headers: str) -> httpx.AsyncClient:
        """What the application raises on is not raised here, as with a server."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)
        self._clients.append(client)
        return client

    async def user(self, username: str, password: str = PASSWORD, *, admin: bool = False) -> httpx.AsyncClient:
        """A client of a new user, signed in."""
        await self.container.accounts().add(username, password, admin)
        return await self.sign_in(username, password)

    async def sign_in(self, username: str, password: str = PASSWORD) -> httpx.AsyncClient:
        client = self.anonymous()
        answer = await client.post("/token", data=credentials(username, password))
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


async def watched(api: Api, times: int) -> None:
    """Waits, bounded, until so many watch the one run that is live."""
    [live] = api.container.executor()
    async with asyncio.timeout(BOUND_S):
        while live.watchers < times:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_api(
    *,
    model: ScriptedChatModel | None = None,
    swapped: dict[str, object] | None = None,
    adapt: Callable[[Container], object] | None = None,
    **settings: Any,
) -> AsyncIterator[Api]:
    """`swapped` are objects to stand where the container would put its own, by the provider's name.

    `adapt` is what an embedder does to the container besides, before there is an application.
    """
    model = model or ScriptedChatModel()
    usual = {
        "secret_key": SECRET_KEY,
        "model": MODEL,
        "openai_base_url": "http://127.0.0.1:1/v1",
        "drain_limit_s": 0.2,
    }
    given = Settings(**{**usual, **settings})
    objects = {"chat_model": model, "passwords": cheap_passwords(), "metrics_kept_s": 0.0, **(swapped or {})}
    container = Container(settings=given, **{name: providers.Object(thing) for name, thing in objects.items()})
    if adapt is not None:
        adapt(container)
    api = Api(create_app(container), container, model)
    async with api.app.router.lifespan_context(api.app):
        try:
            yield api
        finally:
            await api.close()


def cheap_passwords() -> Argon2PasswordHasher:
    return Argon2PasswordHasher(memory_kib=8, iterations=1, workers=1)


def sqlite_copy(migrated: Path, folder: Path) -> str:
    """The URL of a database of one's own."""
    path = folder / "chat.db"
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


class MemoryDatabase:
    """Stands where the container would open a database, for an application whose stores are in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        if not self._store.available:
            raise StoreUnavailable

    def in_use(self) -> int:
        return 0

    def size(self) -> int:
        return 1


def in_memory(store: MemoryStore) -> dict[str, object]:
    """What to swap so that an application keeps everything in `store`, where a test can switch it off."""
    return {
        "database": MemoryDatabase(store),
        "store_lock": None,
        "users": store.users,
        "threads": store.threads,
        "run_store": store.runs,
        "execution_store": store.execution_store,
        "chatkit_session_store": sessions_in(store),
        "guest_threads": store.guest_threads,
    }


class Apis:
    """Starts applications for one test, each on a database of its own, and ends them after it."""

    def __init__(self, migrated: Path, folder: Path, stack: AsyncExitStack) -> None:
        self._migrated = migrated
        self._folder = folder
        self._stack = stack
        self._count = 0

    async def start(self, **arguments: Any) -> Api:
        """`arguments` are `running_api`'s."""
        if "database_url" not in arguments:
            self._count += 1
            folder = self._folder / f"api{self._count}"
            folder.mkdir()
            arguments["database_url"] = sqlite_copy(self._migrated, folder)
        return await self._stack.enter_async_context(running_api(**arguments))


# -- asking ----------------------------------------------------------------------------------------------------------


def credentials(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"grant_type": "password", "username": username, "password": password}


def said(*contents: str, **members: Any) -> dict[str, Any]:
    """The body of a chat request: messages of the user, by default one that says Hi, and more members."""
    return {"messages": [{"role": "user", "content": content} for content in contents or ("Hi",)], **members}


async def ask(client: httpx.AsyncClient, *contents: str, **members: Any) -> dict[str, Any]:
    """Sends a chat request that must succeed; returns its answer."""
    answer = await client.post("/api/chat/protected", json=said(*contents, **members))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@asynccontextmanager
async def asking(
    client: httpx.AsyncClient, *, headers: dict[str, str] | None = None, **members: Any
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """A chat request under way in the background; the task's result is its response."""
    task = asyncio.ensure_future(client.post("/api/chat/protected", json=said(**members), headers=headers))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def done(task: asyncio.Task[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(BOUND_S):
        return await task


async def newest_run(client: httpx.AsyncClient) -> str:
    """The run of the last message of the caller's newest thread."""
    thread = (await client.get("/api/threads")).json()["data"][0]
    messages = await client.get(f"/api/threads/{thread['id']}/messages", params={"order": "desc", "limit": 1})
    run_id: str = messages.json()["data"][0]["run_id"]
    return run_id


@dataclass(frozen=True)
class LiveRun:
    """A run whose model stands at its pause, and the response that waits for it."""

    id: str
    pause: Pause
    response: asyncio.Task[httpx.Response]

    async def end(self) -> httpx.Response:
        self.pause.go_on()
        return await done(self.response)


@asynccontextmanager
async def live_run(api: Api, client: httpx.AsyncClient, *steps: Step, **members: Any) -> AsyncIterator[LiveRun]:
    """A run in flight that has said `steps`, and ends well once it goes on; `members` are `asking`'s."""
    pause = Pause()
    api.model.then(*steps, pause)
    async with asking(client, **members) as response:
        await pause.reached()
        try:
            yield LiveRun(await newest_run(client), pause, response)
        finally:
            pause.go_on()


# -- answers ---------------------------------------------------------------------------------------------------------

PROBLEM = {"type", "title", "status", "detail", "code", "request_id", "message"}


def problem_of(answer: httpx.Response, status: int, code: str, *more: str) -> dict[str, Any]:
    """The problem that `answer` must be, with exactly the usual members and `more`."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() == PROBLEM | set(more)
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"] == body["title"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """`answer` must be this, in the form of the door that was asked."""
    path = answer.request.url.path
    if path.startswith("/v1/"):
        assert (answer.status_code, answer.json()["error"].keys()) == (status, {"message", "type", "param", "code"})
    elif path.startswith("/api/ai-sdk"):
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
        assert answer.text
    elif path.startswith("/api/ag-ui"):
        assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    else:
        problem_of(answer, status, code)


@dataclass(frozen=True)
class Frame:
    id: int
    event: str
    data: dict[str, Any]


FRAME = re.compile(r"id: (\d+)\nevent: ([a-z.]+)\ndata: (\{[^\n]*\})")


def frames_of(text: str) -> list[Frame]:
    """The frames of a whole event stream, which must hold nothing else than frames of exactly this shape."""
    assert text.endswith("\n\n")
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        match = FRAME.fullmatch(block)
        assert match, block
        frame = Frame(int(match[1]), match[2], json.loads(match[3]))
        assert (frame.data["seq"], frame.data["type"]) == (frame.id, frame.event)
        found.append(frame)
    return found


def is_time(value: object) -> bool:
    return isinstance(value, str) and RFC3339_UTC.fullmatch(value) is not None
