"""Threads: listed, read, changed, removed."""

import sqlite3

import httpx
import pytest

from tests.support.api import Api, ask, done, is_time, live_run, problem_of, said

MEMBERS = {"id", "client_ref", "title", "created_at", "updated_at", "metadata"}


async def thread(client: httpx.AsyncClient, thread_id: str) -> dict:
    answer = await client.get(f"/api/threads/{thread_id}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    return answer.json()


async def new_thread(client: httpx.AsyncClient, *contents: str) -> str:
    return (await ask(client, *contents))["thread_id"]


async def titles(client: httpx.AsyncClient, **query: object) -> list[str]:
    return [item["title"] for item in (await client.get("/api/threads", params=query)).json()["data"]]


async def test_a_thread_has_exactly_these_members(alice: httpx.AsyncClient) -> None:
    found = await thread(alice, await new_thread(alice, "What is it?"))
    assert found.keys() == MEMBERS
    assert (found["title"], found["metadata"]) == ("What is it?", {})
    assert is_time(found["created_at"])
    assert is_time(found["updated_at"])
    assert found["created_at"] < found["updated_at"], "the answer came after the question"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("  \n\n One   line \r\nand more", "One line"),
        ("word " * 30, "word " * 15 + "…"),
        ("x" * 100, "x" * 79 + "…"),
        ("a\x1b[31mb\u202e", "a[31mb"),
    ],
)
async def test_a_title_is_made_from_the_first_message(alice: httpx.AsyncClient, content: str, title: str) -> None:
    expected = title.replace(" …", "…")
    assert (await thread(alice, await new_thread(alice, content)))["title"] == expected


async def test_it_is_the_users_first_message_and_stays_it(alice: httpx.AsyncClient) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "First"}]
    answer = await alice.post("/api/chat/protected", json={"messages": messages})
    thread_id = answer.json()["thread_id"]
    await ask(alice, "Second", thread_id=thread_id)
    assert (await thread(alice, thread_id))["title"] == "First"


async def test_threads_are_listed_the_most_recently_used_first(alice: httpx.AsyncClient) -> None:
    first, *_ = [await new_thread(alice, f"T{i}") for i in range(4)]
    await ask(alice, "again", thread_id=first)
    assert await titles(alice) == ["T0", "T3", "T2", "T1"]
    assert await titles(alice, order="desc") == ["T0", "T3", "T2", "T1"]
    assert await titles(alice, order="asc") == ["T1", "T2", "T3", "T0"]


async def test_a_list_has_exactly_these_members_and_the_threads_as_they_are_read(alice: httpx.AsyncClient) -> None:
    thread_id = await new_thread(alice)
    answer = await alice.get("/api/threads")
    assert answer.json() == {"data": [await thread(alice, thread_id)], "has_more": False, "after": None}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_join_to_the_whole_list(alice: httpx.AsyncClient, order: str, limit: int) -> None:
    for i in range(5):
        await new_thread(alice, f"T{i}")
    found, query = [], {"limit": limit, "order": order}
    while True:
        page = (await alice.get("/api/threads", params=query)).json()
        found += [item["title"] for item in page["data"]]
        assert page["has_more"] is (page["after"] is not None)
        if not page["has_more"]:
            break
        assert len(page["data"]) == limit
        query["after"] = page["after"]
    assert found == [f"T{i}" for i in (range(5) if order == "asc" else reversed(range(5)))]


async def test_a_page_holds_20_unless_asked_otherwise_and_100_at_most(alice: httpx.AsyncClient) -> None:
    for i in range(101):
        await new_thread(alice, f"T{i}")
    for query, expected in (({}, 20), ({"limit": 100}, 100), ({"limit": 1}, 1)):
        page = (await alice.get("/api/threads", params=query)).json()
        assert (len(page["data"]), page["has_more"]) == (expected, True)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", ""])
async def test_any_other_limit_is_refused(alice: httpx.AsyncClient, limit: str) -> None:
    answer = await alice.get("/api/threads", params={"limit": limit})
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("after", ["", "x", "WyJtIiwxXQ", "WyJ0IiwieCIsInkiXQ", "é", "x" * 600])
async def test_a_bad_cursor_is_refused(alice: httpx.AsyncClient, after: str) -> None:
    answer = await alice.get("/api/threads", params={"after": after})
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "after"


async def test_any_other_order_is_refused(alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/api/threads", params={"order": "random"})
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "order"


async def test_a_cursor_survives_that_its_thread_is_removed(alice: httpx.AsyncClient) -> None:
    for i in range(3):
        await new_thread(alice, f"T{i}")
    page = (await alice.get("/api/threads", params={"limit": 1})).json()
    await alice.delete(f"/api/threads/{page['data'][0]['id']}")
    assert await titles(alice, after=page["after"]) == ["T1", "T0"]


# -- changing --------------------------------------------------------------------------------------------------------


async def test_title_and_metadata_change_each_by_itself(alice: httpx.AsyncClient) -> None:
    thread_id = await new_thread(alice, "Before")
    before = await thread(alice, thread_id)
    changed = (await alice.patch(f"/api/threads/{thread_id}", json={"title": "After"})).json()
    assert changed.keys() == MEMBERS
    assert (changed["title"], changed["metadata"]) == ("After", {})
    assert changed["updated_at"] > before["updated_at"]
    await alice.patch(f"/api/threads/{thread_id}", json={"metadata": {"a": [1, None, "é"]}})
    changed = await thread(alice, thread_id)
    assert (changed["title"], changed["metadata"]) == ("After", {"a": [1, None, "é"]})
    await alice.patch(f"/api/threads/{thread_id}", json={"metadata": {"b": 1}})
    assert (await thread(alice, thread_id))["metadata"] == {"b": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \t"}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": 5}, "title"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 16_384}}, "metadata"),
        ({"unknown": 1}, "*"),
        ({"id": "thr_x"}, "id"),
    ],
)
async def test_what_is_no_change_is_refused(alice: httpx.AsyncClient, body: dict, field: str) -> None:
    thread_id = await new_thread(alice)
    before = await thread(alice, thread_id)
    answer = await alice.patch(f"/api/threads/{thread_id}", json=body)
    assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == field
    assert await thread(alice, thread_id) == before


async def test_metadata_has_16_kib(alice: httpx.AsyncClient) -> None:
    fits = {"a": "é" * ((16 * 1024 - len('{"a":""}')) // 2)}
    answer = await alice.patch(f"/api/threads/{await new_thread(alice)}", json={"metadata": fits})
    assert answer.json()["metadata"] == fits


# -- removing --------------------------------------------------------------------------------------------------------


async def test_a_thread_that_was_removed_is_gone_with_its_messages_and_runs(alice: httpx.AsyncClient) -> None:
    said_before = await ask(alice)
    thread_id, run_id = said_before["thread_id"], said_before["run_id"]
    answer = await alice.delete(f"/api/threads/{thread_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method, path in [
        ("GET", f"/api/threads/{thread_id}"),
        ("PATCH", f"/api/threads/{thread_id}"),
        ("DELETE", f"/api/threads/{thread_id}"),
        ("GET", f"/api/threads/{thread_id}/messages"),
        ("GET", f"/api/runs/{run_id}"),
        ("GET", f"/api/runs/{run_id}/events"),
        ("POST", f"/api/runs/{run_id}/cancel"),
        ("POST", f"/api/runs/{run_id}/retry"),
    ]:
        problem_of(await alice.request(method, path, json={} if method == "PATCH" else None), 404, "not_found")
    problem_of(await alice.post("/api/chat/protected", json=said(thread_id=thread_id)), 404, "not_found")
    assert await titles(alice) == []


@pytest.mark.parametrize("stream", [False, True])
async def test_removing_cancels_a_live_run_and_whoever_follows_hears_it(
    api: Api, alice: httpx.AsyncClient, stream: bool
) -> None:
    async with live_run(api, alice, "half", stream=stream) as live:
        thread_id = (await alice.get(f"/api/runs/{live.id}")).json()["thread_id"]
        assert (await alice.delete(f"/api/threads/{thread_id}")).status_code == 204
        await api.model.calls[-1].until_closed()
        answer = await done(live.response)
    if stream:
        assert '"type":"run.cancelled","reason":"user"' in answer.text
    else:
        problem_of(answer, 409, "run_cancelled", "run_id")


async def test_the_record_of_what_it_cost_stays(api: Api, alice: httpx.AsyncClient) -> None:
    run_id = (await ask(alice))["run_id"]
    async with live_run(api, alice, "half") as live:
        for item in (await alice.get("/api/threads")).json()["data"]:
            assert (await alice.delete(f"/api/threads/{item['id']}")).status_code == 204
        await done(live.response)
    connection = sqlite3.connect(api.container.settings().database_url.removeprefix("sqlite:///"))
    kept = connection.execute("SELECT run_id, status FROM interactions ORDER BY run_id").fetchall()
    left = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("threads", "messages", "runs")]
    connection.close()
    assert kept == [(run_id, "completed"), (live.id, "cancelled")]
    assert left == [(0,)] * 3


async def test_a_clients_own_id_names_a_thread_over_requests(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    async def say(who: httpx.AsyncClient, **more: object) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "Hi"}], **more}
        return await who.post("/api/chat/protected", json=body)

    first, again = [(await say(alice, client_ref="my 1")).json() for _ in range(2)]
    theirs = (await say(bob, client_ref="my 1")).json()
    assert first["thread_id"] == again["thread_id"] != theirs["thread_id"]
    assert (await thread(alice, first["thread_id"]))["client_ref"] == "my 1"
    assert len((await alice.get(f"/api/threads/{first['thread_id']}/messages")).json()["data"]) == 4
    for wrong in ({"client_ref": ""}, {"client_ref": "a\nb"}, {"client_ref": "x" * 256}):
        refused = await say(alice, **wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "client_ref")
    both = await say(alice, client_ref="my 1", thread_id=first["thread_id"])
    assert both.status_code == 422
    for wrong in ({"temperature": 3}, {"max_output_tokens": 0}, {"response_format": {}}, {"reasoning_effort": "LOW!"}):
        refused = await say(alice, **wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, next(iter(wrong)))
