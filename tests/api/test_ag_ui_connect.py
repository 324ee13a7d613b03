"""AG-UI's connect: what a thread holds, and the rest of what is live in it, for whoever comes to it or comes back."""

import asyncio

import httpx

from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamTimeout
from chatorch.entrypoints.ag_ui import history
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.ag_ui import Client, events_in
from tests.support.ag_ui_door import DOOR, PAGE, asked, connect, live, refused_of, run_agent, until_following
from tests.support.api import Api, Apis, ask, done, newest_run


async def test_a_thread_at_rest_is_its_messages_and_an_end(alice: httpx.AsyncClient):
    first = await run_agent(alice, "One")
    second = await run_agent(alice, "One", "Two", run="run-2")
    page = await connect(alice)
    assert [message["id"] for message in page.messages] == [
        "u-One", first.messages[0]["id"], "u-Two", second.messages[0]["id"],
    ]  # fmt: skip
    assert [message["content"] for message in page.messages] == ["One", "Hello world", "Two", "Hello world"]
    assert page.started is not None
    assert page.ended is not None
    assert (page.started["runId"], page.ended["type"]) == ("connect-1", "RUN_FINISHED")


async def test_who_connects_in_mid_answer_holds_the_same_in_the_end_as_who_stayed(api: Api, alice: httpx.AsyncClient):
    await run_agent(alice, "One")
    steps = ("so ", PartStart(PartKind.REASONING), "hm", PartEnd(), PartStart(PartKind.TEXT), "far")
    async with live(api, alice, *steps, run="run-2", messages=[{"id": "u-2", "role": "user", "content": "Two"}]) as (
        pause,
        response,
    ):
        late = asyncio.ensure_future(connect(alice))
        other = asyncio.ensure_future(connect(alice, run="connect-2"))
        await until_following(api, 3)
        pause.go_on()
        stayed = Client().take((await done(response)).content)
        pages = [await late, await other]
    for page in pages:
        assert page.messages[2:] == [{"id": "u-2", "role": "user", "content": "Two"}, *stayed.messages]
        assert page.ended is not None
        assert page.ended["type"] == "RUN_FINISHED"
    assert (await connect(alice)).messages == pages[0].messages, "the same once it is at rest"
    assert [message["content"] for message in stayed.messages] == ["so ", "hm", "far and on"]


async def test_a_client_that_comes_back_shows_each_thing_once(api: Api, alice: httpx.AsyncClient):
    async with live(api, alice, "so ") as (pause, response):
        page = asyncio.ensure_future(alice.post(f"{DOOR}/connect", json=asked(run="connect-1")))
        await until_following(api, 2)
        pause.go_on()
        before = Client([{"id": "u-Hi", "role": "user", "content": "Hi"}]).take((await done(response)).content)
        back = Client(before.messages).take((await done(page)).content)
    assert back.messages == before.messages


async def test_a_run_that_ends_badly_is_told_so_to_who_connected(api: Api, alice: httpx.AsyncClient):
    async with live(api, alice, "so ") as (_, response):
        page = asyncio.ensure_future(connect(alice))
        await until_following(api, 2)
        await alice.post(f"/api/runs/{await newest_run(alice)}/cancel")
        told = await page
        await done(response)
    assert told.ended is not None
    assert told.ended["outcome"] == {"type": "cancelled"}
    assert told.messages[-1]["content"] == "so "


async def test_what_was_begun_elsewhere_is_followed_by_its_name_or_by_our_id(api: Api, alice: httpx.AsyncClient):
    answer = await ask(alice, "Hi", client_ref=PAGE)
    assert [message["content"] for message in (await connect(alice)).messages] == ["Hi", "Hello world"]
    by_our_id = await connect(alice, thread=answer["thread_id"])
    assert by_our_id.messages == (await connect(alice)).messages
    await run_agent(alice, "More", thread=answer["thread_id"])
    assert [m.content for m in api.model.calls[-1].prompt.messages] == ["Hi", "Hello world", "More"]


async def test_an_unknown_thread_and_another_users_are_nowhere(alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    answer = await ask(alice, "Hi", client_ref=PAGE)
    for thread in (PAGE, answer["thread_id"], "unknown", "thr_unknown"):
        refused_of(await bob.post(f"{DOOR}/connect", json=asked(thread=thread)), 404, "not_found")
    refused_of(await bob.post(DOOR, json=asked(thread=answer["thread_id"])), 404, "not_found")
    mine = await run_agent(bob, "Hi")
    assert mine.messages, "a name is each user's own"
    assert len((await connect(alice)).messages) == 2


async def test_more_messages_than_a_page_of_them_are_all_there(api: Api, alice: httpx.AsyncClient):
    earlier = [{"role": ("user", "assistant")[n % 2], "content": f"m{n}"} for n in range(240)]
    body = {"messages": [*earlier, {"role": "user", "content": "last"}], "client_ref": PAGE}
    await alice.post("/api/chat/protected", json=body)
    page = await connect(alice)
    assert [message["content"] for message in page.messages] == [
        *(m["content"] for m in earlier),
        "last",
        "Hello world",
    ]


async def test_a_thread_that_no_frame_has_room_for_is_told_from_its_newest_on(api: Api, alice: httpx.AsyncClient):
    for number in range(6):
        message = {"id": f"u{number}", "role": "user", "content": f"{number}" + "x" * 900_000}
        await run_agent(alice, run=f"run-{number}", messages=[message])
    answer = await alice.post(f"{DOOR}/connect", json=asked())
    assert len(answer.content) < history.MAX_SNAPSHOT_BYTES + 1000
    page = Client().take(answer.content)
    assert [m["content"][0] for m in page.messages if m["role"] == "user"] == ["2", "3", "4", "5"]


async def test_what_counts_for_a_run_is_nothing_to_who_only_looks(alice: httpx.AsyncClient):
    await run_agent(alice, "Hi")
    more = {"tools": [{"name": "x"}], "context": [{"a": 1}], "state": {"a": 1}, "messages": []}
    assert (await alice.post(f"{DOOR}/connect", json=asked(**more))).status_code == 200


async def test_a_thought_that_is_none_any_more_is_taken_back(api: Api, alice: httpx.AsyncClient):
    """A page may hold one of an answer that was begun anew since."""
    first = await run_agent(alice, "Hi")
    held = [{"id": "u-Hi", "role": "user", "content": "Hi"}, *first.messages]
    stale = [*held, {"id": f"{first.messages[0]['id']}.1", "role": "reasoning", "content": "hm"}]
    answer = await alice.post(f"{DOOR}/connect", json=asked(messages=stale))
    assert Client(stale).take(answer.content).messages == held
    async with live(api, alice, "so ", run="run-2", messages=[{"id": "u-2", "role": "user", "content": "Two"}]) as (
        pause,
        response,
    ):
        page = asyncio.ensure_future(alice.post(f"{DOOR}/connect", json=asked(messages=stale)))
        await until_following(api, 2)
        pause.go_on()
        await done(response)
        assert [m["role"] for m in Client(stale).take((await done(page)).content).messages] == ["user", "assistant"] * 2


async def test_a_failed_answer_stays_as_far_as_it_came(api: Api, alice: httpx.AsyncClient):
    api.model.then("half", UpstreamTimeout())
    failed = await run_agent(alice, "Hi")
    assert (await connect(alice)).messages[1:] == failed.messages


async def test_a_guest_asks_and_has_nothing_to_connect_to(apis: Apis):
    api = await apis.start(anonymous_chat=True)
    guest = api.anonymous()
    page = await run_agent(guest, "Hi")
    assert page.started is not None
    assert page.messages[0]["content"] == "Hello world"
    refused_of(await guest.post(f"{DOOR}/connect", json=asked()), 401, "not_authenticated")
    again = await run_agent(guest, "Hi", "Two", run="run-2")
    assert again.messages, "each time a turn of its own"
    assert [m.content for m in api.model.calls[-1].prompt.messages] == ["Two"]
    for thread in ("thr_unknown", page.started["metadata"]["chatorch"]["thread_id"]):
        refused_of(await guest.post(DOOR, json=asked(thread=thread)), 403, "guest_thread")
    long_named = [{"id": "🙂" * 255, "role": "user", "content": "Hi"}]
    assert (await guest.post(DOOR, json=asked(messages=long_named))).status_code == 200


async def test_a_page_of_another_origin_may_ask_and_read(apis: Apis):
    api = await apis.start(cors_origins={"https://page.example"})
    alice = await api.user("alice")
    await run_agent(alice, "Hi")
    for door in (DOOR, f"{DOOR}/connect"):
        answer = await alice.post(door, json=asked(), headers={"Origin": "https://page.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert "content-location" in answer.headers["Access-Control-Expose-Headers"].lower()
        assert events_in(answer.content)
