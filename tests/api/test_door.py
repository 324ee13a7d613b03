"""A door from outside: routes, error form, field names and a WebSocket class of its own, on a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chatorch.domain.model.errors import ThreadBusy, TooManyRuns
from chatorch.entrypoints.app import create_app
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.error_form import ErrorForm
from chatorch.entrypoints.common.failures import Failure
from chatorch.entrypoints.common.field_paths import FieldNames
from chatorch.entrypoints.common.strict_json import Strictness, StrictRoute
from chatorch.entrypoints.common.websocket.wire import WireProtocol
from chatorch.entrypoints.doors import open_doors
from chatorch.entrypoints.process.server_config import websocket_of
from tests.support.api import Api, Apis
from tests.support.logged import logged
from tests.support.ws import served

TOYS = "application/toys+json"


class ToyError(BaseModel):
    toy: str
    why: str


class ToyForm(ErrorForm):
    media_type = TOYS

    @property
    def model(self) -> type[BaseModel]:
        return ToyError

    def body(self, failure: Failure) -> bytes:
        return json.dumps({"toy": failure.code, "why": failure.detail}).encode()


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    teddies: int


class LooseRoute(StrictRoute):
    strictness = Strictness(max_names=None)


class ToyProtocol(WebSocketsSansIOProtocol):
    """What the server makes of it is uvicorn's own."""


router = APIRouter(prefix="/toys", route_class=LooseRoute)


@router.post("/wish")
async def wish(wished: Wish) -> dict[str, int]:
    return {"teddies": wished.teddies}


@router.post("/bag")
async def bag(filled: dict[str, Any]) -> dict[str, int]:
    return {"names": len(filled)}


@router.get("/raise/{name}")
async def fail(name: str) -> None:
    raise {"busy": ThreadBusy("run_1"), "many": TooManyRuns(retry_after=7), "bug": RuntimeError("the secret is 42")}[
        name
    ]


async def needs_a_header(x_toy: Annotated[str, Header()]) -> str:
    return x_toy


@router.get("/dependent")
async def dependent(toy: Annotated[str, Depends(needs_a_header)]) -> str:
    return toy


async def elsewhere(_request: object) -> Response:
    """Below a path of the API's, and yet the toy's."""
    raise ThreadBusy("run_1")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello from " + type(socket.scope["extensions"].get("x")).__name__)
    await socket.close()


async def broken_box(scope: Scope, receive: Receive, send: Send) -> None:
    raise ThreadBusy("run_1")


TOY = Door(
    name="toys",
    paths=("/toys",),
    routes=(
        *router.routes,
        Route("/api/toys", elsewhere),
        Mount("/toys/box", routes=[Mount("/in", app=broken_box)]),
        WebSocketRoute("/toys/talk", talk),
    ),
    errors=ToyForm(),
    fields=FieldNames.of(Wish),
)


@pytest.fixture
async def api(apis: Apis) -> Api:
    """Ours, and the toy's beside them."""
    api = await apis.start(cors_origins={"https://page.example"}, anonymous_chat=True, chatkit_server=False)
    app = create_app(api.container, (*open_doors(api.container.settings()), TOY))
    app.state.started = True
    return replace(api, app=app)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with served(api) as door, httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client:
        yield client


def toy_of(answer: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, TOYS), answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["X-Request-ID"]
    assert answer.json()["toy"] == code
    return answer.json()


def problem_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["code"] == code
    return answer.json()


async def test_its_errors_are_told_in_its_form_and_ours_in_ours(client: httpx.AsyncClient):
    assert (await client.post("/toys/wish", json={"teddies": 2})).json() == {"teddies": 2}
    with logged() as out:
        toy_of(await client.get("/toys/raise/busy"), 409, "thread_busy")
    assert [line["code"] for line in out.named("request")] == ["thread_busy"], "operators read it as any other"
    assert toy_of(await client.get("/toys/raise/many"), 429, "too_many_runs")
    assert (await client.get("/toys/raise/many")).headers["Retry-After"] == "7"
    with logged():
        assert "42" not in toy_of(await client.get("/toys/raise/bug"), 500, "internal_error")["why"]
    toy_of(await client.get("/toys/nowhere"), 404, "not_found")
    toy_of(await client.get("/toys"), 404, "not_found")
    toy_of(await client.get("/toys/wish"), 405, "method_not_allowed")
    toy_of(
        await client.post("/toys/wish", content=b"{", headers={"Content-Type": "application/json"}),
        422,
        "invalid_request",
    )
    toy_of(await client.post("/toys/wish", content=b"x"), 415, "unsupported_media_type")
    toy_of(await client.get("/toys/dependent"), 422, "invalid_request")
    toy_of(await client.get("/api/toys"), 409, "thread_busy")
    toy_of(await client.get("/toys/box/in/it"), 409, "thread_busy")

    problem_of(await client.get("/toysnot"), 404, "not_found")
    problem_of(await client.get("/api/nowhere"), 404, "not_found")
    problem_of(await client.get("/api/me"), 401, "not_authenticated")


async def test_what_middleware_refuses_is_told_in_its_form_as_well(client: httpx.AsyncClient):
    toy_of(await client.get("/toys/wish?a=%00"), 422, "invalid_request")
    toy_of(await client.get("/toys/a%00"), 404, "not_found")
    large = await client.post("/toys/wish", content=b"x" * 1_100_000, headers={"Content-Type": "application/json"})
    toy_of(large, 413, "content_too_large")
    preflight = {"Origin": "https://foreign.example", "Access-Control-Request-Method": "POST"}
    toy_of(await client.options("/toys/wish", headers=preflight), 400, "cors_refused")
    problem_of(await client.options("/api/chat", headers=preflight), 400, "cors_refused")


async def test_before_it_is_started_and_below_a_prefix_it_is_the_same(api: Api):
    api.app.state.started = False
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app, raise_app_exceptions=False, root_path="/below"), base_url="http://test"
    ) as client:
        toy_of(await client.get("/below/toys/wish"), 503, "not_started")
        problem_of(await client.get("/below/api/me"), 503, "not_started")
        api.app.state.started = True
        toy_of(await client.get("/below/toys/nowhere"), 404, "not_found")
        toy_of(await client.get("/below/toys/box/in/it"), 409, "thread_busy")
        problem_of(await client.get("/below/nowhere"), 404, "not_found")


async def test_field_names_are_each_doors_own(client: httpx.AsyncClient):
    wrong = toy_of(await client.post("/toys/wish", json={"tedies": 1, "messages": 2}), 422, "invalid_request")
    assert "teddies: is required" in wrong["why"]
    assert "did you mean teddies?" in wrong["why"]
    assert "messages" not in wrong["why"]
    signed_out = problem_of(await client.post("/api/chat", json={"tedies": 1}), 422, "invalid_request")
    assert "teddies" not in json.dumps(signed_out)


async def test_how_strictly_a_body_is_read_is_its_own(client: httpx.AsyncClient):
    many = {f"name{number}": number for number in range(40)}
    assert (await client.post("/toys/bag", json=many)).json() == {"names": 40}
    assert (
        "more than 16 names" in problem_of(await client.post("/api/chat", json=many), 422, "invalid_request")["detail"]
    )


async def test_the_document_describes_errors_as_each_door_tells_them(api: Api):
    document = api.app.openapi()
    described = document["paths"]["/toys/wish"]["post"]["responses"]["422"]["content"]
    assert described == {TOYS: {"schema": {"$ref": "#/components/schemas/ToyError"}}}
    assert "application/problem+json" in document["paths"]["/api/chat"]["post"]["responses"]["422"]["content"]
    assert document["components"]["schemas"].keys() >= {"ToyError", "Problem"}


async def test_its_websockets_go_through_the_class_that_our_door_wants(api: Api):
    async with served(api) as door, asyncio.timeout(5):
        async with connect(f"ws://127.0.0.1:{door.port}/toys/talk") as socket:
            assert (await socket.recv()).startswith("hello")
        for path, media_type in (("/toys/no-socket", TOYS), ("/nowhere", "application/problem+json")):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{door.port}{path}")
            assert refused.value.response.status_code == 404
            assert refused.value.response.headers["Content-Type"] == media_type


async def test_a_server_of_another_application_finds_the_class_in_what_is_mounted(api: Api):
    host = FastAPI()
    host.mount("/chat", api.app)
    assert websocket_of(host) is WireProtocol
    async with served(replace(api, app=host)) as door, asyncio.timeout(5):
        async with connect(f"ws://127.0.0.1:{door.port}/chat/toys/talk") as socket:
            assert (await socket.recv()).startswith("hello")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client:
            toy_of(await client.get("/chat/toys/nowhere"), 404, "not_found")
            problem_of(await client.get("/chat/nowhere"), 404, "not_found")


async def test_alone_it_may_bring_a_websocket_class_of_its_own(api: Api):
    app = create_app(api.container, (replace(TOY, websocket=ToyProtocol),))
    app.state.started = True
    assert websocket_of(app) is ToyProtocol
    async with served(replace(api, app=app)) as door, asyncio.timeout(5):
        async with connect(f"ws://127.0.0.1:{door.port}/toys/talk") as socket:
            assert (await socket.recv()).startswith("hello")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client:
            toy_of(await client.get("/api/me"), 404, "not_found")


async def test_a_server_of_doors_without_websockets_takes_none(api: Api):
    app = create_app(api.container, (replace(TOY, routes=(Route("/toys/x", elsewhere),)),))
    app.state.started = True
    assert websocket_of(app) is None
    async with served(replace(api, app=app)) as door:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{door.port}/toys/x")
    assert refused.value.response.status_code == 409, "it is a plain request then"


def test_doors_that_cannot_stand_beside_each_other_are_refused(api: Api):
    ours = open_doors(api.container.settings())
    with pytest.raises(ValueError, match="ws and toys want different WebSocket classes"):
        create_app(api.container, (*ours, replace(TOY, websocket=ToyProtocol)))
    with pytest.raises(ValueError, match="api and toys both have the path /api"):
        create_app(api.container, (*ours, replace(TOY, paths=("/api",))))


async def test_what_is_no_doors_is_told_as_the_first_one_tells_it(api: Api):
    app = create_app(api.container, (TOY,))
    app.state.started = True
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        toy_of(await client.get("/anything"), 404, "not_found")
