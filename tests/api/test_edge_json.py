"""JSON in, with what some clients put before it; JSON or events out, as the client asks."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.api import Api, ask, frames_of, said
from tests.support.ws import Door, token_of

BOM = b"\xef\xbb\xbf"
CHAT = "/api/chat/protected"
BOTH = "application/json, text/event-stream"
EVENTS = "text/event-stream"

Post = Callable[..., Any]


@pytest.fixture(params=["protected", "guest's", "retry"])
async def post(request: pytest.FixtureRequest, alice: httpx.AsyncClient) -> Post:
    """Asks for an answer, over each route that gives one."""
    first = await ask(alice)

    async def asked(headers: list[tuple[str, str]], **members: Any) -> httpx.Response:
        match request.param:
            case "retry":
                path, body = f"/api/runs/{first['run_id']}/retry", members
            case "protected":
                path, body = CHAT, said(**members)
            case _:
                path, body = "/api/chat", said(**members)
        return await alice.post(
            path, content=json.dumps(body), headers=[("Content-Type", "application/json"), *headers]
        )

    return asked


@pytest.mark.parametrize(
    ("accept", "stream", "events"),
    [
        ([], None, False),
        ([EVENTS], None, True),
        ([EVENTS + ";q=0"], None, False),
        ([BOTH], None, False),
        (["application/json;q=0.5", EVENTS], None, True),
        (["*/*"], None, False),
        (["text/*"], None, True),
        ([BOTH], False, False),
        ([EVENTS], False, False),
        (["application/json"], True, True),
        ([EVENTS + ";q=0"], True, True),
        ([], True, True),
    ],
)
async def test_what_is_asked_for_wins_and_else_what_is_accepted(
    post: Post, accept: list[str], stream: bool | None, events: bool
) -> None:
    members = {} if stream is None else {"stream": stream}
    answer = await post([("Accept", value) for value in accept], **members)
    assert answer.status_code == 200
    if events:
        assert answer.headers["Content-Type"].startswith(EVENTS)
        assert frames_of(answer.text)[-1].event == "run.completed"
    else:
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["response"]


async def test_a_stream_that_is_null_says_nothing(post: Post) -> None:
    assert (await post([("Accept", EVENTS)], stream=None)).headers["Content-Type"].startswith(EVENTS)
    assert (await post([], stream=None)).headers["Content-Type"] == "application/json"


# -- a byte order mark -------------------------------------------------------------------------------------------------


async def test_json_behind_a_byte_order_mark_is_taken_by_every_route(api: Api, alice: httpx.AsyncClient) -> None:
    first = await ask(alice)
    thread = f"/api/threads/{first['thread_id']}"
    admin = await api.user("root", admin=True)
    bodies = [
        (alice, "POST", CHAT, said("marked")),
        (alice, "POST", "/api/chat", said("marked")),
        (alice, "POST", f"/api/runs/{first['run_id']}/retry", {}),
        (alice, "PATCH", thread, {"title": "marked"}),
        (alice, "POST", "/chatkit", {"type": "threads.list", "params": {}}),
        (admin, "POST", "/api/broadcast", {"text": "marked"}),
    ]
    for client, method, path, body in bodies:
        content = BOM + json.dumps(body).encode()
        answer = await client.request(method, path, content=content, headers={"Content-Type": "application/json"})
        assert answer.is_success, (path, answer.text)
    assert (await alice.get(thread)).json()["title"] == "marked"
    assert "\ufeff" not in api.model.calls[1].prompt.messages[-1].content


async def test_a_byte_order_mark_inside_of_a_text_is_part_of_it(api: Api, alice: httpx.AsyncClient) -> None:
    await ask(alice, "\ufeffHi")
    assert api.model.calls[-1].prompt.messages[-1].content == "\ufeffHi"


async def test_a_frame_may_begin_with_one_too(door: Door, alice: httpx.AsyncClient) -> None:
    phone = await door.connect()
    await phone.connection.send("\ufeff" + json.dumps({"type": "auth", "id": "a", "token": token_of(alice)}))
    assert (await phone.receive())["type"] == "ack"
    await phone.connection.send("\ufeff" + json.dumps({"type": "ping", "id": "p"}))
    assert await phone.receive() == {"type": "pong", "id": "p"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("path", [CHAT, "/api/chat", "/chatkit"])
async def test_other_encodings_are_told_so(alice: httpx.AsyncClient, path: str, encoding: str) -> None:
    content = json.dumps(said()).encode(encoding)
    answer = await alice.post(path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "body: must be UTF-8; this looks like UTF-16 or UTF-32",
    )
