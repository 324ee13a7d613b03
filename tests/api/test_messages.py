"""A thread's messages."""

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamTimeout
from tests.support.api import Api, ask, done, is_time, live_run, problem_of, said


async def messages(client: httpx.AsyncClient, thread_id: str, **query: object) -> list[dict]:
    answer = await client.get(f"/api/threads/{thread_id}/messages", params=query)
    assert answer.status_code == 200
    return answer.json()["data"]


async def test_a_message_has_exactly_these_members(alice: httpx.AsyncClient) -> None:
    given = [{"role": "user", "content": "Hi", "metadata": {"a": 1}}]
    answer = (await alice.post("/api/chat/protected", json={"messages": given})).json()
    question, reply = await messages(alice, answer["thread_id"])
    for message in (question, reply):
        assert message.keys() == {"id", "role", "content", "parts", "status", "created_at", "run_id", "metadata"}
        assert message["id"].startswith("msg_")
        assert is_time(message["created_at"])
        assert message["status"] == "complete"
    assert (question["role"], question["content"], question["metadata"]) == ("user", "Hi", {"a": 1})
    assert (reply["role"], reply["content"], reply["metadata"]) == ("assistant", "Hello world", {})
    assert [message["parts"] for message in (question, reply)] == [
        [{"type": "text", "text": "Hi"}], [{"type": "text", "text": "Hello world"}],
    ]  # fmt: skip
    assert (reply["id"], reply["run_id"]) == (answer["message_id"], answer["run_id"])


async def test_the_oldest_comes_first_unless_asked_otherwise(alice: httpx.AsyncClient) -> None:
    thread = (await ask(alice, "A", "B"))["thread_id"]
    await ask(alice, "C", thread_id=thread)
    expected = ["A", "B", "Hello world", "C", "Hello world"]
    assert [m["content"] for m in await messages(alice, thread)] == expected
    assert [m["content"] for m in await messages(alice, thread, order="asc")] == expected
    assert [m["content"] for m in await messages(alice, thread, order="desc")] == expected[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_join_to_the_whole_thread(alice: httpx.AsyncClient, order: str, limit: int) -> None:
    thread = (await ask(alice, *(f"M{i}" for i in range(6))))["thread_id"]
    found, query = [], {"limit": limit, "order": order}
    while True:
        page = (await alice.get(f"/api/threads/{thread}/messages", params=query)).json()
        assert page.keys() == {"data", "has_more", "after"}
        assert page["has_more"] is (page["after"] is not None)
        found += page["data"]
        if not page["has_more"]:
            break
        query["after"] = page["after"]
    assert found == await messages(alice, thread, order=order)
    assert len(found) == 7


async def test_a_page_holds_20_unless_asked_otherwise(alice: httpx.AsyncClient) -> None:
    thread = (await ask(alice, *("M" for _ in range(120))))["thread_id"]
    assert len(await messages(alice, thread)) == 20
    assert len(await messages(alice, thread, limit=100)) == 100
    for limit in (0, 101):
        answer = await alice.get(f"/api/threads/{thread}/messages", params={"limit": limit})
        problem_of(answer, 422, "invalid_request", "errors")


async def test_a_cursor_of_another_list_is_refused(alice: httpx.AsyncClient) -> None:
    thread = (await ask(alice))["thread_id"]
    await ask(alice)
    cursor = (await alice.get("/api/threads", params={"limit": 1})).json()["after"]
    for after in (cursor, "", "x", "WyJtIiwtMV0", "WyJtIix0cnVlXQ"):
        answer = await alice.get(f"/api/threads/{thread}/messages", params={"after": after})
        assert problem_of(answer, 422, "invalid_request", "errors")["errors"][0]["field"] == "after"


async def test_a_message_that_is_being_written_shows_its_text_so_far(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "so ", "far") as live:
        thread = (await alice.get(f"/api/runs/{live.id}")).json()["thread_id"]
        reply = (await messages(alice, thread))[-1]
        assert (reply["content"], reply["status"], reply["run_id"]) == ("so far", "streaming", live.id)
        await live.end()
    assert (await messages(alice, thread))[-1]["status"] == "complete"


async def test_a_message_is_incomplete_when_its_run_did_not_end_well(api: Api, alice: httpx.AsyncClient) -> None:
    async with live_run(api, alice, "half") as live:
        thread = (await alice.get(f"/api/runs/{live.id}")).json()["thread_id"]
        await alice.post(f"/api/runs/{live.id}/cancel")
        await done(live.response)
    api.model.then(UpstreamTimeout())
    await alice.post("/api/chat/protected", json=said("More", thread_id=thread))
    stored = [(m["role"], m["content"], m["status"]) for m in await messages(alice, thread)]
    assert stored == [
        ("user", "Hi", "complete"),
        ("assistant", "half", "incomplete"),
        ("user", "More", "complete"),
        ("assistant", "", "incomplete"),
    ]


async def test_what_there_is_not_is_not_found(alice: httpx.AsyncClient) -> None:
    problem_of(await alice.get("/api/threads/thr_nowhere/messages"), 404, "not_found")
