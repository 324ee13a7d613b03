"""What `examples/chatkit-self-hosted.html` and the widget in it do, from another origin, against the real service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.server import PASSWORD, Server
from tests.support.upstream import ANSWER, Upstream, done, finish, hang, pause, text, usage
from tests.support.widget import EVENTS, PATH, Answered, add, asked, create, request, said, send

PAGE = "http://localhost:5173"


@pytest.fixture(scope="module")
def kit(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = server_in(tmp_path_factory.mktemp("chatkit"), chatkit_server=True, cors_origins=PAGE)
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest_asyncio.fixture
async def page(kit: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who signed in by the page's form."""
    async with httpx.AsyncClient(base_url=kit.url, headers={"Origin": PAGE}, timeout=10) as client:
        form = {"grant_type": "password", "username": "alice", "password": PASSWORD}
        answer = await client.post("/token", data=form)
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


class Answering:
    """An answer that comes, read as far as the test has waited."""

    def __init__(self, response: httpx.Response) -> None:
        self.run_id = response.headers["Content-Location"].split("/")[3]
        self.events: list[Any] = []
        self._lines = response.aiter_lines()

    async def until(self, holds: Callable[[Any], object]) -> Any:
        """The first event for which it holds."""
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith("data: "):
                    self.events.append(EVENTS.validate_json(line.removeprefix("data: ")))
                    if holds(self.events[-1]):
                        return self.events[-1]
        raise AssertionError(f"it ended after {self.events[-1:]}")


@asynccontextmanager
async def answering(page: httpx.AsyncClient, kind: str, /, **params: object) -> AsyncIterator[Answering]:
    """Leaving the block before the end closes the connection, as the abort of the page's fetch does."""
    async with page.stream("POST", PATH, json=request(kind, **params)) as response:
        assert response.status_code == 200, await response.aread()
        assert "Content-Location" in response.headers["Access-Control-Expose-Headers"]
        yield Answering(response)


def by(model: str) -> dict[str, Any]:
    return {"inference_options": {"model": model}}


def texts(thread: dict[str, Any]) -> list[str]:
    return ["".join(part["text"] for part in item["content"]) for item in thread["items"]["data"]]


async def loaded(page: httpx.AsyncClient, thread_id: str) -> list[str]:
    return texts(await asked(page, "threads.get_by_id", thread_id=thread_id))


async def ended(page: httpx.AsyncClient, run_id: str, status: str) -> None:
    async def so() -> bool:
        return (await page.get(f"/api/runs/{run_id}")).json()["status"] == status

    await eventually(so)


def says(piece: str) -> Callable[[Any], bool]:
    return lambda event: getattr(getattr(event, "update", None), "delta", None) == piece


async def test_a_session_with_the_widget(page: httpx.AsyncClient, upstream: Upstream):
    assert (await asked(page, "threads.list", limit=20))["data"] == []

    slow = upstream.model([text("Half an"), hang()], ANSWER)
    async with answering(page, "threads.create", input=said("Why?", **by(slow))) as answer:
        await answer.until(says("Half an"))
        thread_id = answer.events[0].thread.id
    assert (await page.post(f"/api/runs/{answer.run_id}/cancel")).status_code == 202
    await upstream.until(slow, "closed")
    await ended(page, answer.run_id, "cancelled")

    assert await loaded(page, thread_id) == ["Why?", "Half an"]
    [listed] = (await asked(page, "threads.list", limit=20))["data"]
    assert (listed["id"], listed["title"]) == (thread_id, "Why?")

    more = await add(page, thread_id, "And?", **by("mock-2-0"))
    assert await loaded(page, thread_id) == ["Why?", "Half an", "And?", more.shown]
    question = (await asked(page, "threads.get_by_id", thread_id=thread_id))["items"]["data"][0]
    again = Answered(await send(page, "threads.retry_after_item", thread_id=thread_id, item_id=question["id"]))
    assert await loaded(page, thread_id) == ["Why?", again.shown] == ["Why?", "Hello, world"]
    assert (
        await asked(page, "items.feedback", thread_id=thread_id, item_ids=[again.items[-1].id], kind="positive") == {}
    )

    await asked(page, "threads.update", thread_id=thread_id, title="Reasons")
    assert [thread["title"] for thread in (await asked(page, "threads.list"))["data"]] == ["Reasons"]
    assert await asked(page, "threads.delete", thread_id=thread_id) == {}
    assert (await asked(page, "threads.list"))["data"] == []
    assert (await send(page, "threads.get_by_id", thread_id=thread_id)).status_code == 404


async def test_who_leaves_without_stopping_finds_the_whole_answer(page: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model(text("One"), pause("left"), text(" and two"), finish(), usage(), done())
    async with answering(page, "threads.create", input=said(**by(model))) as answer:
        await answer.until(says("One"))
        thread_id = answer.events[0].thread.id
    assert await loaded(page, thread_id) == ["Hi", "One"]
    upstream.release("left")
    await ended(page, answer.run_id, "completed")
    assert await loaded(page, thread_id) == ["Hi", "One and two"]


async def test_a_stop_that_comes_after_the_end_changes_nothing(page: httpx.AsyncClient):
    answer = await create(page, **by("mock-3-0"))
    assert (await page.post(f"/api/runs/{answer.run_id}/cancel")).status_code == 202
    assert await loaded(page, answer.thread_id) == ["Hi", answer.shown]
    await ended(page, answer.run_id, "completed")


@pytest.mark.parametrize("path", [PATH, "/api/runs/run_1/cancel"])
async def test_the_browser_is_let_through_before_each_request(page: httpx.AsyncClient, path: str):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = await page.options(path, headers=asks)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    refused = await page.options(path, headers={**asks, "Origin": "http://localhost:5174"})
    assert "Access-Control-Allow-Origin" not in refused.headers
