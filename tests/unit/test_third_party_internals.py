"""What is used of libraries beyond what they promise: a newer one that has changed it fails here, by its name.

The requirements of the package admit only what this holds for. When a sentence comes up: look at what the library does
now, mend the file that is named, and only then raise the bound in `pyproject.toml`.
"""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any, get_args, get_origin

import aiohttp
import asyncpg
import httpx
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.connector import Connection as AiohttpConnection
from asyncpg.transaction import Transaction
from fastapi import APIRouter, FastAPI
from mcp.client._transport import ReadStream, TransportStreams, WriteStream
from openai import AsyncOpenAI
from openai._models import FinalRequestOptions
from redis.asyncio.connection import Connection as RedisConnection
from uvicorn import Server
from uvicorn.lifespan.on import LifespanOn
from websockets.server import ServerProtocol

from chatorch.adapters.models.openai.client import RepeatingClient
from chatorch.adapters.models.upstream.kept_connections import Connector
from chatorch.adapters.redis.sentinels import Followed
from chatorch.entrypoints.common.connection.counted import AdmittedConnection
from chatorch.entrypoints.common.connection.cycle import CarefulCycle, Cycle, RefusedCycle
from chatorch.entrypoints.common.connection.flow import Flow
from chatorch.entrypoints.common.connection.of_uvicorn import (
    FlowControl,
    HttpToolsProtocol,
    RequestResponseCycle,
    WebSocketsSansIOProtocol,
)
from chatorch.entrypoints.common.connection.protocol import HttpConnection
from chatorch.entrypoints.common.connection.reading import Reading
from chatorch.entrypoints.common.connection.sending import Sending
from chatorch.entrypoints.common.middleware.access_log import route_template
from chatorch.entrypoints.common.websocket.bounded import BoundedProtocol
from chatorch.entrypoints.common.websocket.wire import WireProtocol
from chatorch.entrypoints.process.stoppable import StoppableServer
from chatorch.entrypoints.process.worker import _Server
from tests.support.leaning import gone

SRC = Path(__file__).parents[2] / "src" / "chatorch"
HTTP = "entrypoints/common/connection"
WS = "entrypoints/common/websocket/wire.py and bounded.py"
CONNECTIONS = (Reading, Sending, AdmittedConnection, HttpConnection)
CYCLES = (Cycle, CarefulCycle, RefusedCycle)

PLACES = {
    "adapters/models/openai/client.py": "openai._models",
    "adapters/models/upstream/transport.py": "content._read_nowait",
    "adapters/sql/connecting.py": "connection._transport",
    "adapters/tools/mcp/connection.py": "mcp.client._transport",
    "adapters/tools/mcp/http.py": "mcp.client._transport",
    "adapters/tools/mcp/incoming.py": "mcp.client._transport",
    "adapters/tools/mcp/stdio.py": "mcp.client._transport",
    "adapters/tools/python/tools.py": "asyncio._unregister_task",
    "entrypoints/common/connection/of_uvicorn.py": "uvicorn._types",
}
"""Where a name is used that begins with an underscore, and is no name of ours."""


def test_what_is_private_is_used_in_one_place_each() -> None:
    private = re.compile(r"^(?:from|import) [\w.]*\._\w+ |SLF001", re.MULTILINE)
    found = {
        str(path.relative_to(SRC)): path.read_text(encoding="utf-8")
        for path in SRC.rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    }
    assert found.keys() == PLACES.keys(), "an internal of a library is used: name its place here, and test it below"
    for place, word in PLACES.items():
        assert word in found[place]
    uvicorn = [path for path in SRC.rglob("*.py") if "from uvicorn.protocols" in path.read_text(encoding="utf-8")]
    assert uvicorn == [SRC / HTTP / "of_uvicorn.py"]


async def test_asyncio_forgets_a_task_that_it_is_told_to_forget() -> None:
    task = asyncio.ensure_future(asyncio.sleep(0))
    assert task in asyncio.all_tasks()
    asyncio._unregister_task(task)
    assert task not in asyncio.all_tasks()
    await task


def test_mcps_transports_are_pairs_of_streams() -> None:
    incoming, outgoing = get_args(TransportStreams)
    assert (get_origin(incoming), get_origin(outgoing)) == (ReadStream, WriteStream)


def test_uvicorns_http_connection_has_what_ours_is_made_of() -> None:
    instead = ("on_url", "on_header", "on_message_complete", "_should_upgrade", "_start_asgi_task")
    assert gone(HttpToolsProtocol, *CONNECTIONS, see=HTTP, also=instead) == []
    assert gone(FlowControl, Flow, see=f"{HTTP}/flow.py", also=("resume_reading",)) == []
    held = gone(FlowControl, *CONNECTIONS, see=HTTP, holder="flow")
    assert [line for line in held if "'blocked'" not in line] == []  # which is ours


def test_uvicorns_cycle_has_what_ours_is_made_of() -> None:
    see = f"{HTTP}/cycle.py"
    ours = {"keep_alive", "lingers", "unread", "last", "refuse", "refused"}
    replaced = ("body", "keep_alive", "more_body", "message_event", "response_complete", "send", "chunked_encoding")
    assert gone(RequestResponseCycle, *CYCLES, see=see, also=replaced) == []
    held = gone(RequestResponseCycle, *CONNECTIONS, see=HTTP, holder="cycle")
    assert [line for line in held if not any(f"'{name}'" in line for name in ours)] == []
    made_with = set(inspect.signature(RequestResponseCycle.__init__).parameters) - {"self"}
    asked = set(re.findall(r"^            (\w+)=", inspect.getsource(Cycle.last_of), re.MULTILINE))
    assert made_with == asked, f"uvicorn makes its RequestResponseCycle of something else: see {see}, last_of"
    assert not hasattr(RequestResponseCycle, "__slots__"), f"uvicorn's cycles change their class no more: see {see}"


def test_uvicorns_websocket_has_what_ours_is_made_of() -> None:
    instead = ("handle_parser_exception", "handle_ping", "handle_cont", "handle_pong", "send_receive_event_to_app")
    assert gone(WebSocketsSansIOProtocol, BoundedProtocol, WireProtocol, see=WS, also=instead) == []
    assert gone(ServerProtocol, BoundedProtocol, WireProtocol, see=WS, holder="conn", also=("reject",)) == []


def test_uvicorns_server_has_what_ours_is_made_of() -> None:
    see = "entrypoints/process/stoppable.py and worker.py"
    assert gone(Server, StoppableServer, _Server, see=see, also=("on_tick", "handle_exit", "startup", "lifespan")) == []
    assert gone(LifespanOn, StoppableServer, see=see, holder="lifespan", also=("startup_event",)) == []


def test_openais_client_builds_requests_where_ours_does() -> None:
    see = "see adapters/models/openai/client.py"
    assert gone(AsyncOpenAI, RepeatingClient, see=see) == []
    built = inspect.signature(AsyncOpenAI._build_request).parameters
    assert list(built) == ["self", "options", "retries_taken"], f"openai's _build_request takes something else: {see}"
    options = {"method", "url", "security", "idempotency_key", "content"}
    missing = options - FinalRequestOptions.model_fields.keys()
    assert not missing, f"openai's FinalRequestOptions no longer has {missing}: {see}"


async def test_aiohttps_reader_still_holds_what_came_before_an_error() -> None:
    see = "see adapters/models/upstream/transport.py, rest"
    loop = asyncio.get_running_loop()
    reader = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    reader.feed_data(b"what came")
    reader.set_exception(aiohttp.ClientPayloadError())
    with pytest.raises(aiohttp.ClientPayloadError):
        await reader.readany()
    buffer, read = getattr(reader, "_buffer", None), getattr(reader, "_read_nowait", None)
    assert buffer, f"aiohttp's StreamReader no longer has '_buffer': {see}"
    assert read is not None, f"aiohttp's StreamReader no longer has '_read_nowait': {see}"
    assert read(-1) == b"what came", f"aiohttp's StreamReader reads otherwise: {see}"
    assert not reader._buffer, f"aiohttp's StreamReader keeps what was read: {see}"


def test_aiohttps_connector_gives_connections_as_ours_expects() -> None:
    see = "adapters/models/upstream/kept_connections.py"
    assert gone(aiohttp.TCPConnector, Connector, see=see, also=("connect",)) == []
    assert gone(AiohttpConnection, Connector, see=see, holder="connection", also=("protocol", "close")) == []


async def test_fastapi_tells_the_whole_route_where_the_access_log_looks() -> None:
    seen: list[str] = []
    inner, app = APIRouter(), FastAPI()

    @inner.get("/things/{thing_id}")
    async def thing(thing_id: str) -> None: ...

    app.include_router(inner, prefix="/api")

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        seen.append(route_template(scope))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="http://test") as client:
        await client.get("/api/things/1")
    assert seen == ["/api/things/{thing_id}"], (
        "FastAPI keeps an included router's prefix elsewhere than in its 'effective_route_context': see "
        "entrypoints/common/middleware/access_log.py, route_template"
    )


async def test_asyncpg_begins_a_transaction_by_words_that_ours_knows() -> None:
    class Fake:
        _top_xact = None
        _pool_release_ctr = 0
        said: list[str] = []  # noqa: RUF012

        class _protocol:
            is_in_transaction = staticmethod(lambda: False)

        def is_closed(self) -> bool:
            return False

        async def execute(self, query: str) -> None:
            self.said.append(query)

    await Transaction(Fake(), None, False, False).start()
    assert Fake.said == ["BEGIN;"], "asyncpg begins a transaction otherwise: see adapters/sql/pooler.py"
    see = "see adapters/sql/connecting.py, set_on"
    assert "_transport" in asyncpg.Connection.__slots__, f"asyncpg's Connection no longer has '_transport': {see}"


def test_redis_py_connects_where_ours_looks_up_the_primary() -> None:
    see = "adapters/redis/sentinels.py"
    assert gone(RedisConnection, Followed, see=see, also=("_connect", "host", "port")) == []
    of_connect = inspect.getsource(RedisConnection.connect_check_health)
    assert "self._connect()" in of_connect, f"redis-py's Connection connects otherwise: see {see}"


def test_what_is_gone_is_told_in_a_sentence() -> None:
    class Older:
        def __init__(self) -> None:
            self.kept = 1

        def step(self) -> None: ...

    class Newer:
        def move(self) -> None: ...

    class Ours(Older):
        def __init__(self) -> None:
            super().__init__()
            self.own = 1

        def step(self) -> None:
            super().step()
            self.own = self.kept

    assert gone(Older, Ours, see="here") == []
    assert gone(Newer, Ours, see="here", also=("step",)) == [
        "tests's Newer no longer has 'kept': see here",
        "tests's Newer no longer has 'step': see here",
    ]
