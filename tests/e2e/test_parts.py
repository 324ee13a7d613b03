"""A provider that reasons, answers, calls a tool that nobody asked for, and cites a source.

The same parts by every door, on every worker, after the end, after a restart, and from every position.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import ServerIn
from tests.support.chatkit_page import ITEM, Page, shown
from tests.support.event_reader import Screen
from tests.support.eventually import eventually
from tests.support.postgres import Databases, PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.sizes import SOAK
from tests.support.sockets import Caller, Exchange
from tests.support.upstream import Script, Upstream, done, finish, hang, pause, text, usage
from tests.support.upstream_parts import calls, cites, thinks
from tests.support.widget import Answered, asked, create
from tests.support.workers import Worker, alike, workers

URL = "https://example.com/é"
THOUGHT = [{"index": 1, "type": "reasoning", "text": "Hm, so 🙂"}]
CALL = {"type": "tool_call", "id": "call_1", "name": "find", "arguments": '{"a": "é"}', "status": "not_executed"}
PARTS = [
    *THOUGHT,
    {"index": 2, "type": "text", "text": "Hello world"},
    {"index": 3, **CALL, "needs_approval": False},
    {"index": 4, "type": "source", "url": URL, "title": "Wörld"},
]


def answer(*names: str) -> Script:
    """With a pause in the thought and another in the text, where they have names."""
    first, second = ([pause(name)] for name in names) if names else ([], [])
    said = [*thinks("Hm, ", "so"), *first, *thinks(" 🙂"), text("Hello"), *second, text(" world")]
    return [*said, *calls("find", '{"a": ', '"é"}'), cites(URL, "Wörld"), finish(), usage(), done()]


def screen_of(events: Sequence[dict[str, Any]]) -> Screen:
    screen = Screen()
    screen.show(list(events))
    return screen


def prefix(events: list[dict[str, Any]], cut: int) -> Screen:
    """What a client shows that was cut off right at a position."""
    screen = Screen()
    for event in events:
        if event["seq"] > cut:
            left = event["seq"] - cut
            if "text" in event and left < len(event["text"]):
                screen.show([{**event, "seq": cut, "text": event["text"][:-left]}])
            break
        screen.show([event])
    assert screen.position == cut
    return screen


async def so_far(worker: Worker, run_id: str, thread_id: str, parts: list[dict[str, Any]]) -> None:
    """The run and its thread show these, elsewhere once they have arrived."""

    async def there() -> bool:
        run = await worker.alice.run(run_id)
        [_, message] = await worker.alice.messages(thread_id)
        return (run["parts"], message["parts"]) == (parts, parts)

    await eventually(there)


async def from_every_position(alice: Caller, run_id: str, events: list[dict[str, Any]], step: int = 1) -> None:
    """In the header and in the address in turn. The first of the rest begins right there: positions are dense."""
    tip = events[-1]["seq"]
    cuts = range(1, tip, step)
    rests = await asyncio.gather(*(rest_after(alice, run_id, cut, in_header=cut % 2 == 0) for cut in cuts))
    for cut, rest in zip(cuts, rests, strict=True):
        screen = prefix(events, cut)
        screen.show(rest.events)
        assert (screen.parts, screen.text, screen.position, screen.snapshots) == (PARTS, "Hello world", tip, 0), cut
        assert rest.complete
        assert screen.terminals == [events[-1]]
    assert (await rest_after(alice, run_id, tip, in_header=True)).status == 204


async def rest_after(alice: Caller, run_id: str, after: int, *, in_header: bool) -> Exchange:
    if in_header:
        return await (await alice.follow(run_id, after)).ended()
    return await alice.get(f"/api/runs/{run_id}/events?after={after}")


async def by_websocket(worker: Worker, run_id: str, events: list[dict[str, Any]], cuts: Sequence[int]) -> None:
    device = await worker.door.connect(f"device-{worker.server.port}", worker.token)
    for cut in cuts:
        device.frames.clear()
        await device.ask("run.follow", run_id=run_id, after=cut)
        screen = await device.run_ended(run_id, screen=prefix(events, cut) if cut else None)
        assert (screen.parts, screen.text, screen.position) == (PARTS, "Hello world", events[-1]["seq"]), cut
    await device.connection.close()


async def by_json(worker: Worker, run_id: str, thread_id: str, status: str = "complete") -> None:
    run = await worker.alice.run(run_id)
    [_, message] = await worker.alice.messages(thread_id)
    assert (run["parts"], run["text"]) == (PARTS, "Hello world")
    assert (message["parts"], message["content"], message["status"]) == (PARTS, "Hello world", status)


@pytest.fixture(params=["sqlite", *(["postgres"] if SOAK else [])])
async def database_url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    return await Databases(postgres.url).fresh()


@pytest.fixture
async def both(
    server_in: ServerIn, tmp_path: Path, own_redis: RedisServer, database_url: str | None
) -> AsyncIterator[list[Worker]]:
    """The second has ChatKit, which takes a second to start."""
    (tmp_path / "one").mkdir()
    one = server_in(tmp_path / "one", database_url, lease_s=1, checkpoint_s=0.2, continue_within_s=0)
    one.settings["REDIS_URL"] = own_redis.url
    two = alike(one, tmp_path / "two")
    two.settings["CHATORCH_CHATKIT_SERVER"] = "true"
    async with workers([one, two]) as started:
        yield started


async def test_the_same_parts_by_every_door_on_every_worker_and_from_every_position(
    both: list[Worker], upstream: Upstream
) -> None:
    one, two = both
    run_id, thread_id, events = await while_it_goes(one, two, upstream)
    await from_every_position(one.alice, run_id, events)
    await from_every_position(two.alice, run_id, events, step=1 if SOAK else 7)
    await by_websocket(two, run_id, events, range(0, events[-1]["seq"], 1 if SOAK else 9))
    await the_widget(two.server, upstream, thread_id)

    broken, broken_thread, heard = await whose_worker_dies(one, two, upstream)

    await two.server.stop()
    await one.server.start()
    await by_json(one, run_id, thread_id)
    await from_every_position(one.alice, run_id, events, step=1 if SOAK else 5)
    await by_websocket(one, run_id, events, [0, 5])
    ended = await one.alice.run(broken)
    assert (ended["status"], ended["parts"]) == ("interrupted", heard.parts)
    [_, message] = await one.alice.messages(broken_thread)
    assert (message["status"], message["parts"]) == ("incomplete", heard.parts)
    assert one.server.errors == []
    assert two.server.errors == []


async def while_it_goes(one: Worker, two: Worker, upstream: Upstream) -> tuple[str, str, list[dict[str, Any]]]:
    """Followed by four clients from its start. Returns ids and all events."""
    names = (f"thought-{one.server.port}", f"text-{one.server.port}")
    model = upstream.model(answer(*names))
    stream = await one.alice.say("Hi", model=model, key="parts")
    await stream.until(lambda s: s.events and s.events[-1]["type"] == "part.delta" and s.position == 8)
    run_id, thread_id = stream.run_id, stream.events[0]["thread_id"]
    elsewhere = await two.alice.follow(run_id)
    devices = [await worker.door.connect("phone" + str(worker.server.port), worker.token) for worker in (one, two)]
    for device in devices:
        await device.ask("run.follow", run_id=run_id)
    for worker in (one, two):
        await so_far(worker, run_id, thread_id, [{**THOUGHT[0], "text": "Hm, so"}])
    await the_widget_shows(two.server, thread_id, [("Hm, so", "loading")])
    upstream.release(names[0])
    await stream.until(lambda s: s.text == "Hello")
    for worker in (one, two):
        await so_far(worker, run_id, thread_id, [*THOUGHT, {"index": 2, "type": "text", "text": "Hello"}])
    await the_widget_shows(two.server, thread_id, [("Hm, so 🙂", "complete"), "Hello"])
    upstream.release(names[1])
    await asyncio.gather(stream.ended(), elsewhere.ended())

    for screen in (
        screen_of(stream.events),
        screen_of(elsewhere.events),
        *[await device.run_ended(run_id) for device in devices],
    ):
        assert (screen.parts, screen.text) == (PARTS, "Hello world")
        assert screen.terminals == stream.terminals
    assert [event["type"] for event in stream.terminals] == ["run.completed"]
    said = await (await one.alice.say("Hi", model=model, key="parts", stream=False)).ended()
    assert (said.json["run_id"], said.json["response"], said.json["parts"]) == (run_id, "Hello world", PARTS)
    upstream.play(f"json-{model}", answer())
    whole = await (await two.alice.say("Hi", model=f"json-{model}", stream=False)).ended()
    assert (whole.json["response"], whole.json["parts"]) == ("Hello world", PARTS)
    for worker in (one, two):
        await by_json(worker, run_id, thread_id)
    return run_id, thread_id, stream.events


async def the_widget(server: Server, upstream: Upstream, thread_id: str) -> None:
    """What it is told is what it reads; and so it reads what another door wrote, on another worker."""
    upstream.play("widgets", answer())
    async with client_of(server) as alice:
        told = await create(alice, inference_options={"model": "widgets"})
        page = Page()
        page.show(told.events)
        assert [item["type"] for item in page.items[1:]] == ["workflow", "assistant_message", "client_tool_call"]
        assert await items_of(alice, told.thread_id) == page.items
        seen = await items_of(alice, thread_id)
        assert [told_of(item) for item in seen[1:]] == [told_of(item) for item in page.items[1:]]
        rated = [item["id"] for item in page.items[1:]]
        params = {"thread_id": told.thread_id, "item_ids": rated, "kind": "positive"}
        assert await asked(alice, "items.feedback", **params) == {}
        again = Answered(await retry(alice, told.thread_id, page.items[0]["id"]))
        page.show(again.events)
        assert len(await items_of(alice, told.thread_id)) == 4


async def the_widget_shows(server: Server, thread_id: str, expected: list[object]) -> None:
    """While the answer comes: its thoughts and its texts."""
    async with client_of(server) as client:
        [_, *items] = await items_of(client, thread_id)
    found: list[object] = []
    for item in items:
        if item["type"] == "workflow":
            found += [(task["content"], task["status_indicator"]) for task in item["workflow"]["tasks"]]
        else:
            found += [part["text"] for part in item["content"]]
    assert found == expected


async def retry(client: httpx.AsyncClient, thread_id: str, item_id: str) -> httpx.Response:
    body = {"type": "threads.retry_after_item", "params": {"thread_id": thread_id, "item_id": item_id}, "metadata": {}}
    return await client.post("/chatkit", json=body)


async def items_of(client: httpx.AsyncClient, thread_id: str) -> list[dict[str, Any]]:
    """Two a page."""
    items: list[dict[str, Any]] = []
    after = None
    while True:
        page = await asked(client, "items.list", thread_id=thread_id, order="asc", limit=2, after=after)
        items += [shown(ITEM.validate_python(item)) for item in page["data"]]
        if not page["has_more"]:
            return items
        after = page["after"]


def told_of(item: dict[str, Any]) -> str:
    """Without what differs from one message to another."""
    return json.dumps({name: said for name, said in item.items() if name not in {"id", "thread_id", "created_at"}})


def client_of(server: Server) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {server.tokens['alice']}"}
    return httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20)


async def whose_worker_dies(one: Worker, two: Worker, upstream: Upstream) -> tuple[str, str, Screen]:
    """Killed in the middle of a call; who follows elsewhere hears the end. What was open stays."""
    model = upstream.model([*thinks("Hm"), text("Let me see"), *calls("find", '{"a": '), hang()])
    stream = await one.alice.say("Hi", model=model)
    await stream.until(lambda s: s.events and s.events[-1].get("index") == 3 and "text" in s.events[-1])
    elsewhere = await two.alice.follow(stream.run_id)
    await elsewhere.until(lambda s: s.position == stream.position)
    await one.server.kill()
    await elsewhere.ended()
    heard = screen_of(elsewhere.events)
    assert [end["type"] for end in heard.terminals] == ["run.interrupted"]
    assert [part["type"] for part in heard.parts] == ["reasoning", "text", "tool_call"]
    assert (heard.parts[2]["arguments"], heard.parts[2]["status"]) == ('{"a": ', "not_executed")
    return stream.run_id, stream.events[0]["thread_id"], heard
