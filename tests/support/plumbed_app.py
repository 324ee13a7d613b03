"""A small application on the real plumbing, and a real server for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Form, Query
from prometheus_client import CollectorRegistry
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chatorch.domain.model import errors
from chatorch.domain.model.upstream_errors import (
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from chatorch.entrypoints.api.forms import TokenForm
from chatorch.entrypoints.api.schemas import ChatRequest, RetryRequest, ThreadPatch
from chatorch.entrypoints.common.connection import HTTP, HttpConnection
from chatorch.entrypoints.common.connection.caps import Caps
from chatorch.entrypoints.common.door import Door, Doors
from chatorch.entrypoints.common.field_paths import FieldNames
from chatorch.entrypoints.common.openapi import install_openapi, problems
from chatorch.entrypoints.common.plumbing import install_plumbing
from chatorch.entrypoints.common.strict_json import StrictRoute
from chatorch.entrypoints.metrics.metrics import Metrics
from chatorch.entrypoints.process.server_config import ServerConfig

CAP = 100_000
DOMAIN_ERRORS: dict[str, Exception] = {
    "thread-busy": errors.ThreadBusy("run_1"),
    "not-authenticated": errors.NotAuthenticated(),
    "invalid-token": errors.InvalidToken(),
    "invalid-grant": errors.InvalidGrant(),
    "scope": errors.InsufficientScope(),
    "not-found": errors.NotFound(),
    "mismatch": errors.UserMismatch(),
    "too-many": errors.TooManyRuns(),
    "store": errors.StoreUnavailable(retry_after=2.2),
    "draining": errors.Draining(),
    "field": errors.InvalidField("messages.0.content", "is too long"),
    "model": errors.ModelNotAllowed(),
    "taken": errors.UsernameTaken(),
    "upstream": UpstreamError(),
    "upstream-limit": UpstreamRateLimited(retry_after=7),
    "upstream-away": UpstreamUnavailable(),
    "upstream-late": UpstreamTimeout(),
    "root": errors.ChatorchError("inner detail"),
    "bug": RuntimeError("the secret is 42"),
}

router = APIRouter(prefix="/api", route_class=StrictRoute)


@router.post("/chat", responses=problems(404))
async def chat(body: ChatRequest) -> dict[str, int]:
    return {"messages": len(body.messages)}


@router.post("/retry")
async def retry(body: RetryRequest | None = None) -> dict[str, bool]:
    return {"stream": bool(body and body.stream)}


@router.patch("/threads/{thread_id}")
async def patch(thread_id: str, body: ThreadPatch) -> dict[str, str]:
    return {"id": thread_id, "title": body.title or ""}


@router.get("/list")
async def listing(limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str = "") -> dict[str, int]:
    return {"limit": limit}


@router.get("/raise/{name}")
async def fail(name: str) -> None:
    raise DOMAIN_ERRORS[name]


@router.post("/token")
async def token(form: Annotated[TokenForm, Form()]) -> dict[str, str]:
    return {"username": form.username}


@router.get("/stream/{count}")
async def stream(count: int) -> Response:
    return Pieces(count)


@router.get("/broken-stream")
async def broken_stream() -> Response:
    return Pieces(3, breaks=True)


DOORS = Doors(
    (
        Door(
            "plumbed",
            ("/",),
            tuple(router.routes),
            fields=FieldNames.of(ChatRequest, RetryRequest, ThreadPatch, forms=(TokenForm,)),
        ),
    )
)


class Pieces(Response):
    """Streams `count` pieces straight to ASGI, as the event streams do; may break off."""

    def __init__(self, count: int, *, breaks: bool = False) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._count = count
        self._breaks = breaks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for _ in range(self._count):
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        if self._breaks:
            raise RuntimeError("in the middle")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Failing:
    """Middleware that raises where it is asked to, so outside of all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/middleware-fails":
            raise RuntimeError("the secret is 42")
        await self._app(scope, receive, send)


def plumbed_app(
    metrics: Metrics | None = None, *, origins: tuple[str, ...] = (), debug: bool = False, cap: int = CAP
) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    install_openapi(app, DOORS)
    app.add_middleware(Failing)
    metrics = metrics or Metrics(CollectorRegistry())
    install_plumbing(app, doors=DOORS, metrics=metrics, body_cap=cap, cors_origins=origins, debug=debug)
    return app


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """A client in the same process; what the application raises on is not raised here, as with a server."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test")


@asynccontextmanager
async def serving(
    app: ASGIApp,
    http: str | type[HttpConnection] = HTTP,
    caps: Caps | None = None,
    kernel_bytes: int | None = None,
    **options: Any,
) -> AsyncIterator[tuple[str, int]]:
    """The application on a real server on a loopback socket: host and port.

    `kernel_bytes`: how much of what is sent the server's kernel may hold, where it must not be megabytes.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    if kernel_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
    config = ServerConfig(
        app, caps=caps, http=http, access_log=False, log_config=None, lifespan="on", proxy_headers=False, **options
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        # The listener queues connections from the start, so nobody need wait for the server.
        yield listener.getsockname()
    finally:
        server.should_exit = True
        await task
        listener.close()
