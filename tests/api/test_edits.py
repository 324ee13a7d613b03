"""Saying something else in place of an earlier message."""

import httpx
import pytest


async def say(client: httpx.AsyncClient, text: str, **more: object) -> dict:
    body = {"messages": [{"role": "user", "content": text}], **more}
    return (await client.post("/api/chat/protected", json=body)).json()


async def shown(client: httpx.AsyncClient, thread_id: str) -> list[dict]:
    return (await client.get(f"/api/threads/{thread_id}/messages")).json()["data"]


async def test_an_edit_is_answered_and_what_came_after_is_gone(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    thread_id = (await say(alice, "one"))["thread_id"]
    await say(alice, "two", thread_id=thread_id)
    first, answer, *_ = await shown(alice, thread_id)
    path = f"/api/threads/{thread_id}/messages"
    edited = await alice.put(f"{path}/{first['id']}", json={"content": "uno", "temperature": 0.5})
    assert (edited.status_code, edited.json()["thread_id"]) == (200, thread_id)
    assert [(m["role"], m["content"]) for m in await shown(alice, thread_id)] == [
        ("user", "uno"),
        ("assistant", edited.json()["response"]),
    ]
    again = await alice.put(f"{path}/{first['id']}", json={"content": "eins"})
    assert (again.status_code, again.json()["code"]) == (409, "run_superseded")
    for client, message_id in ((bob, first["id"]), (alice, answer["id"]), (alice, "msg_none")):
        assert (await client.put(f"{path}/{message_id}", json={"content": "x"})).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"), [({}, "content"), ({"content": " "}, "content"), ({"content": "x", "role": "user"}, "role")]
)
async def test_a_wrong_edit_changes_nothing(alice: httpx.AsyncClient, body: dict, field: str) -> None:
    thread_id = (await say(alice, "one"))["thread_id"]
    before = await shown(alice, thread_id)
    refused = await alice.put(f"/api/threads/{thread_id}/messages/{before[0]['id']}", json=body)
    assert refused.status_code == 422
    assert field in refused.json()["errors"][0]["field"]
    assert await shown(alice, thread_id) == before


async def test_an_edit_is_streamed_where_that_is_asked(alice: httpx.AsyncClient) -> None:
    thread_id = (await say(alice, "one"))["thread_id"]
    [first, _] = await shown(alice, thread_id)
    path = f"/api/threads/{thread_id}/messages/{first['id']}"
    answer = await alice.put(path, json={"content": "uno", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: run.completed" in answer.text
