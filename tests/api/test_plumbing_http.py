"""Request ids, the access line, CORS and the body cap: in process where that shows it, else on real sockets."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.websockets import WebSocket

from chatorch.entrypoints.common.door import Doors
from chatorch.entrypoints.common.plumbing import install_plumbing
from chatorch.entrypoints.metrics.metrics import Metrics
from tests.support.logged import logged
from tests.support.plumbed_app import CAP, client_of, plumbed_app, serving

ORIGIN = "https://chat.example.com"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("offered", ["a", "A.b_c-9", "x" * 128])
async def test_a_sane_request_id_is_taken_over(offered):
    async with client_of(plumbed_app()) as client:
        answer = await client.get("/api/list", headers={"X-Request-ID": offered})
    assert answer.headers.get_list("X-Request-ID") == [offered]


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "a\x1b[31m", "é", "<script>"])
async def test_any_other_request_id_is_replaced(offered):
    async with client_of(plumbed_app()) as client:
        answer = await client.get("/api/list", headers={"X-Request-ID": offered.encode()})
    assert len(answer.headers["X-Request-ID"]) == 32


async def test_each_request_has_an_id_of_its_own():
    async with client_of(plumbed_app()) as client:
        ids = {(await client.get("/api/list")).headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20


async def test_a_request_is_one_line_with_its_route_and_never_its_address():
    with logged() as out:
        async with client_of(plumbed_app()) as client:
            await client.patch(
                "/api/threads/canary?token=canary", json={"title": "canary"}, headers={"X-Request-ID": "r1"}
            )
            await client.get("/canary")
    first, second = out.named("request")
    assert first.items() >= {
        "method": "PATCH", "route": "/api/threads/{thread_id}", "status": 200, "request_id": "r1",
    }.items()  # fmt: skip
    assert first["duration_ms"] >= 0
    assert second["route"] == "unmatched"
    assert "canary" not in out.text


async def test_requests_are_counted_by_route_and_an_unknown_method_is_one_label():
    metrics = Metrics(CollectorRegistry())
    async with client_of(plumbed_app(metrics)) as client:
        await client.get("/api/list?limit=3")
        await client.get("/api/list?limit=0")
        await client.request("BREW", "/nowhere")
    text = metrics.as_text().decode()
    assert '{method="GET",route="/api/list",status="200"} 1.0' in text
    assert '{method="GET",route="/api/list",status="422"} 1.0' in text
    assert '{method="OTHER",route="unmatched",status="404"} 1.0' in text


async def test_a_route_keeps_the_prefix_that_it_was_included_with():
    metrics = Metrics(CollectorRegistry())
    router, app = APIRouter(), FastAPI()

    @router.get("/things/{thing_id}")
    async def thing(thing_id: str) -> str:
        return thing_id

    app.include_router(router, prefix="/v2")
    install_plumbing(app, doors=Doors(), metrics=metrics, body_cap=CAP)
    async with client_of(app) as client:
        await client.get("/v2/things/1")
    assert 'route="/v2/things/{thing_id}"' in metrics.as_text().decode()


async def test_an_allowed_origin_may_read_the_answer_and_its_headers():
    async with client_of(plumbed_app(origins=(ORIGIN,))) as client:
        answer = await client.get("/api/list", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"X-Request-ID", "Content-Location", "Retry-After"} <= set(exposed.split(", "))


async def test_another_origin_may_not():
    async with client_of(plumbed_app(origins=(ORIGIN,))) as client:
        answer = await client.get("/api/list", headers={"Origin": ORIGIN + ".evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_preflight_is_answered_with_a_request_id_and_logged():
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,last-event-id",
    }
    with logged() as out:
        async with client_of(plumbed_app(origins=(ORIGIN,))) as client:
            answer = await client.options("/api/threads/1", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"]
    assert len(out.named("request")) == 1


async def test_a_preflight_from_another_origin_is_refused_with_a_problem():
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PATCH"}
    async with client_of(plumbed_app(origins=(ORIGIN,))) as client:
        answer = await client.options("/api/threads/1", headers=asked)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "cors_refused"
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_without_the_setting_there_is_no_cors_at_all():
    async with client_of(plumbed_app()) as client:
        answer = await client.get("/api/list", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def chat_of(size: int) -> bytes:
    start, end = b'{"messages":[{"role":"user","content":"', b'"}]}'
    return start + b"x" * (size - len(start) - len(end)) + end


async def pieces(body: bytes, size: int = 10_000):
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_exactly_the_cap_is_taken_and_one_byte_more_is_not(chunked):
    async with serving(plumbed_app()) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        for size, status in ((CAP, 200), (CAP + 1, 413), (CAP, 200)):
            body = chat_of(size)
            answer = await client.post("/api/chat", content=pieces(body) if chunked else body, headers=JSON)
            assert answer.status_code == status
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_sends_far_too_much_still_gets_to_read_the_problem(chunked):
    body = b"x" * (40 * CAP)
    async with serving(plumbed_app()) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        answer = await client.post("/api/chat", content=pieces(body, 65_536) if chunked else body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert answer.headers["Connection"] == "close"


async def test_a_client_that_asks_first_never_sends_a_body_that_is_too_large():
    async with serving(plumbed_app()) as (host, port), asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        await writer.wait_closed()


async def test_the_connection_is_closed_after_a_body_that_was_too_large():
    async with serving(plumbed_app()) as (host, port), asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, port)
        body = b"x" * (CAP + 1)
        head = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body + b"GET /api/list HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_client_that_leaves_while_sending_is_no_error():
    metrics = Metrics(CollectorRegistry())
    done = asyncio.Event()
    count = metrics.request_done

    def counted(*args) -> None:
        count(*args)
        done.set()

    metrics.request_done = counted  # type: ignore[method-assign]
    with logged() as out:
        async with serving(plumbed_app(metrics)) as (host, port), asyncio.timeout(5):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(
                b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
            )
            await writer.drain()
            writer.close()
            await done.wait()
    assert not out.named("request_failed")
    assert [line["status"] for line in out.named("request")] == [499]


async def test_a_stream_that_breaks_off_is_not_mistaken_for_a_whole_one():
    with logged():
        async with (
            serving(plumbed_app()) as (host, port),
            httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
        ):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/api/broken-stream")
            assert (await client.get("/api/stream/3")).text == "data: x\n\n" * 3


async def test_a_websocket_passes_through_untouched():
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    install_plumbing(app, doors=Doors(), metrics=Metrics(CollectorRegistry()), body_cap=CAP, cors_origins=(ORIGIN,))
    sent: list[dict] = []
    coming = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}])

    async def receive() -> dict:
        return next(coming)

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "websocket", "path": "/ws", "query_string": b"", "headers": [], "subprotocols": [], "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    assert [message.get("text") for message in sent] == [None, "hello"]
