"""ChatKit over real connections: tabs that close, buttons that stop, processes that die."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx
import pytest

from tests.e2e.conftest import NewServer, ServerIn
from tests.support.accounts import sign_up
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.server import Server, serving
from tests.support.upstream import Upstream, done, finish, hang, pause, text, usage
from tests.support.widget import add, asked, create, request, said, send, watching
from tests.support.workers import Worker, alike, workers


@pytest.fixture(scope="module")
def server(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For all tests here; one may kill it, and starts it again."""
    server = server_in(tmp_path_factory.mktemp("widget"), chatkit_server=True, continue_within_s=0)
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def alice(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with await server.client() as alice:
        yield alice


async def shown(client: httpx.AsyncClient, thread_id: str) -> list[str]:
    """What a widget that is opened on this thread shows."""
    thread = await asked(client, "threads.get_by_id", thread_id=thread_id)
    return ["".join(part["text"] for part in item["content"]) for item in thread["items"]["data"]]


async def status_of(client: httpx.AsyncClient, run_id: str) -> str:
    return (await client.get(f"/api/runs/{run_id}")).json()["status"]


async def ended(client: httpx.AsyncClient, run_id: str, status: str) -> None:
    async def look() -> bool:
        return await status_of(client, run_id) == status

    await eventually(look)


def input_of(model: str, words: str = "Hi") -> dict:
    return said(words, inference_options={"model": model})


async def test_who_leaves_finds_the_whole_answer_on_return(alice: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model(text("begun"), pause("kit-left"), text(" and done"), finish(), usage(), done())
    async with watching(alice, "threads.create", input=input_of(model)) as tab:
        await tab.until("begun")
        run_id, thread_id = tab.run_id, tab.thread_id
    assert await shown(alice, thread_id) == ["Hi", "begun"]
    upstream.release("kit-left")

    await ended(alice, run_id, "completed")
    assert await shown(alice, thread_id) == ["Hi", "begun and done"]


async def test_who_leaves_for_longer_than_the_grace_finds_the_part(new_server: NewServer, upstream: Upstream):
    model = upstream.model(text("begun"), hang())
    server = await new_server(chatkit_server=True, detach_grace_s=0.3)
    async with serving(server), await server.client() as alice:
        async with watching(alice, "threads.create", input=input_of(model)) as tab:
            await tab.until("begun")
        await ended(alice, tab.run_id, "cancelled")
        await upstream.until(model, "closed")
        assert await shown(alice, tab.thread_id) == ["Hi", "begun"]
        again = await add(alice, tab.thread_id, inference_options={"model": "mock-2-0"})
        assert again.errors == []


async def test_the_run_can_be_stopped_as_soon_as_its_name_is_known(alice: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model(hang())
    async with watching(alice, "threads.create", input=input_of(model)) as tab:
        assert (await alice.post(f"/api/runs/{tab.run_id}/cancel")).status_code == 202
        await tab.to_the_end()
        assert tab.events[-1].type == "thread.item.done"
    await ended(alice, tab.run_id, "cancelled")
    assert await shown(alice, tab.thread_id) == ["Hi", ""]


async def test_a_new_message_makes_an_answer_that_nobody_follows_give_way(alice: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model(text("begun"), hang())
    async with watching(alice, "threads.create", input=input_of(model)) as tab:
        await tab.until("begun")
        followed = await send(alice, "threads.add_user_message", thread_id=tab.thread_id, input=said("Too early"))
        assert (followed.status_code, followed.json()["code"]) == (409, "thread_busy")

    async def taken() -> httpx.Response | None:
        answer = await send(
            alice, "threads.add_user_message", thread_id=tab.thread_id, input=input_of("mock-1-0", "Now then")
        )
        return answer if answer.status_code == 200 else None  # until the server has heard that the tab is gone

    await eventually(taken)
    assert await status_of(alice, tab.run_id) == "cancelled"
    assert (await shown(alice, tab.thread_id))[:3] == ["Hi", "begun", "Now then"]


async def test_who_leaves_before_anything_is_stored_has_asked_for_nothing(alice: httpx.AsyncClient, upstream: Upstream):
    model = upstream.model(text("begun"), pause("kit-unwanted"), text(" and done"), finish(), usage(), done())
    async with watching(alice, "threads.create", input=input_of(model)) as tab:
        await tab.until("begun")
        unwanted = request("threads.add_user_message", thread_id=tab.thread_id, input=input_of("mock-1-0", "Unwanted"))
        with pytest.raises(httpx.ReadTimeout):  # it waits for the answer to make way
            await alice.post("/chatkit", json=unwanted, timeout=0.5)
        upstream.release("kit-unwanted")
        await tab.to_the_end()
    await ended(alice, tab.run_id, "completed")
    wanted = await add(alice, tab.thread_id, "Wanted", inference_options={"model": "mock-1-0"})
    assert wanted.errors == []
    assert (await shown(alice, tab.thread_id))[:3] == ["Hi", "begun and done", "Wanted"]


async def test_after_kill_9_the_part_is_shown_and_the_thread_goes_on(
    server: Server, alice: httpx.AsyncClient, upstream: Upstream
):
    model = upstream.model(text("half an answer"), hang())
    async with watching(alice, "threads.create", input=input_of(model)) as tab:
        await tab.until("half an answer")

        async def saved() -> bool:
            with closing(sqlite3.connect(f"file:{server.folder}/chat.db?mode=ro", uri=True)) as reading:
                return bool(reading.execute("SELECT 1 FROM messages WHERE content = 'half an answer'").fetchall())

        await eventually(saved)
        await server.kill()
    await server.start()

    assert await status_of(alice, tab.run_id) == "interrupted"
    assert await shown(alice, tab.thread_id) == ["Hi", "half an answer"]
    again = await add(alice, tab.thread_id, inference_options={"model": "mock-1-0"})
    assert again.errors == []
    assert (await shown(alice, tab.thread_id))[:3] == ["Hi", "half an answer", "And?"]


async def test_a_tab_on_one_worker_makes_way_for_a_message_on_another(
    server_in: ServerIn, tmp_path, own_redis: RedisServer, upstream: Upstream
):
    model = upstream.model(text("begun"), hang())
    (tmp_path / "one").mkdir()
    first = server_in(tmp_path / "one", chatkit_server=True)
    first.settings["REDIS_URL"] = own_redis.url
    async with workers([first, alike(first, tmp_path / "two")]) as started:
        one, two = [await worker_client(worker) for worker in started]
        async with one, two:
            async with watching(one, "threads.create", input=input_of(model)) as tab:
                await tab.until("begun")
                busy = await send(two, "threads.add_user_message", thread_id=tab.thread_id, input=said("Too early"))
                assert busy.status_code == 409

            async def taken() -> bool:
                wanted = input_of("mock-1-0", "Now then")
                answer = await send(two, "threads.add_user_message", thread_id=tab.thread_id, input=wanted)
                return answer.status_code == 200

            await eventually(taken, within=10)
            assert await status_of(two, tab.run_id) == "cancelled"
            assert (await shown(one, tab.thread_id))[:3] == ["Hi", "begun", "Now then"]


async def worker_client(worker: Worker) -> httpx.AsyncClient:
    return await worker.server.client()


async def test_a_thread_of_another_door_is_the_same_thread(alice: httpx.AsyncClient):
    answer = await create(alice, inference_options={"model": "mock-3-0"})
    told = [item["content"][0]["text"] for item in (await items(alice, answer.thread_id))]
    rows = (await alice.get(f"/api/threads/{answer.thread_id}/messages")).json()["data"]
    assert [row["content"] for row in rows] == told


async def items(client: httpx.AsyncClient, thread_id: str) -> list[dict]:
    return (await asked(client, "items.list", thread_id=thread_id, order="asc"))["data"]
