"""What belongs to somebody else is not there: every id of Alice's on every operation, asked for by Bob."""

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatorch.adapters.system import SystemClock
from tests.support.api import Api, Apis, LiveRun, ask, live_run, problem_of, refused, said
from tests.support.chatkit import SETTINGS, FakeChatKit
from tests.support.operations import Operation, operations

CHAT = "/api/chat/protected"
CHATS = ("/api/chat", CHAT)


FRESH = "GET /api/ai-sdk/{thread_id}/stream"
"""A client asks it of its own new chats as well, where an error would be shown: what cannot be a thread's id is one."""


def rows_of(api: Api) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is stored."""
    path = Path(api.container.settings().database_url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    stored = {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
    connection.close()
    return stored


def bodies_for(operation: Operation, ids: list[str]) -> list[dict[str, Any]]:
    """Bodies that are right in everything but whose things they name."""
    if operation.path in CHATS:
        return [said("intruding", thread_id=given) for given in ids]
    if operation.path.startswith("/v1/conversations"):
        items = operation.path.endswith("/items")
        return [{"items": [{"role": "user", "content": "intruding"}]} if items else {"metadata": {"taken": "over"}}]
    if operation.path.endswith("/tool-outputs"):
        return [{"outputs": [{"call_id": "call_1", "content": "intruding"}]}]
    if operation.method == "PATCH":
        return [{"title": "taken over"}, {"metadata": {"taken": "over"}}]
    if operation.method == "PUT":
        return [{"content": "taken over"}, {"content": "taken over", "stream": True}]
    return [{}, {"stream": True}]


def not_found(answer: httpx.Response, operation: Operation) -> None:
    """In the form of the door that was asked."""
    if operation.name == FRESH and answer.status_code == 204:
        assert not answer.content
    else:
        refused(answer, 404, "not_found")


@pytest.fixture
async def quiet(apis: Apis) -> Api:
    """Writes nothing by itself while a run is live."""
    chatkit = FakeChatKit(SystemClock())
    return await apis.start(swapped={"chatkit": chatkit}, checkpoint_s=600, lease_s=1200, **SETTINGS)


async def ids_of(client: httpx.AsyncClient, live: LiveRun) -> list[str]:
    """All of a user's ids, of every kind."""
    found = {live.id, live.id.replace("run_", "resp_"), (await client.get("/api/me")).json()["user_id"]}
    for thread in (await client.get("/api/threads")).json()["data"]:
        found |= {thread["id"], thread["id"].replace("thr_", "conv_")}
        for message in (await client.get(f"/api/threads/{thread['id']}/messages")).json()["data"]:
            found |= {message["id"], message["run_id"]} - {None}
    return sorted(found)


async def test_every_foreign_id_on_every_operation_is_not_found_and_changes_nothing(quiet: Api) -> None:
    alice, bob = await quiet.user("alice"), await quiet.user("bob")
    ended = await ask(alice, "secret question")
    await ask(bob)
    async with live_run(quiet, alice, "secret answer", thread_id=ended["thread_id"]) as live:
        ids = await ids_of(alice, live)
        assert len(ids) == 10
        before, calls, tried = rows_of(quiet), len(quiet.model.calls), 0
        for operation in operations(quiet.app):
            if not operation.parameters and operation.path not in CHATS:
                continue
            for given, body in itertools.product(ids if operation.parameters else ["x"], bodies_for(operation, ids)):
                values = dict.fromkeys(operation.parameters, given)
                answer = await operation.send(bob, body=body, **values)
                not_found(answer, operation)
                assert "secret" not in answer.text
                tried += 1
        assert tried >= 100
        assert rows_of(quiet) == before
        assert len(quiet.model.calls) == calls
        assert not live.response.done()
        assert (await live.end()).json()["response"] == "secret answer"


async def test_an_id_of_ones_own_of_another_kind_is_not_found_either(quiet: Api) -> None:
    alice = await quiet.user("alice")
    said_before = await ask(alice)
    before = rows_of(quiet)
    for operation in operations(quiet.app):
        for parameter in operation.parameters:
            wrong = [said_before[kind] for kind in ("thread_id", "run_id", "message_id") if kind != parameter]
            for given, body in itertools.product(wrong, bodies_for(operation, wrong)):
                values = {**{name: said_before.get(name) for name in operation.parameters}, parameter: given}
                not_found(await operation.send(alice, body=body, **values), operation)
    for given in (said_before["run_id"], said_before["message_id"]):
        problem_of(await alice.post(CHAT, json=said(thread_id=given)), 404, "not_found")
    assert rows_of(quiet) == before


async def test_lists_show_only_ones_own_also_after_a_foreign_cursor(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    threads = {}
    for i in range(6):
        for name, client in (("alice", alice), ("bob", bob)):
            threads.setdefault(name, []).append((await ask(client, f"{name} {i}"))["thread_id"])
    for order in ("asc", "desc"):
        cursor = (await alice.get("/api/threads", params={"limit": 3, "order": order})).json()["after"]
        for query in ({"order": order}, {"order": order, "after": cursor}):
            page = (await bob.get("/api/threads", params=query)).json()["data"]
            assert page
            assert {thread["id"] for thread in page} <= set(threads["bob"])
    cursor = (await alice.get(f"/api/threads/{threads['alice'][0]}/messages", params={"limit": 1})).json()["after"]
    page = await bob.get(f"/api/threads/{threads['bob'][0]}/messages", params={"after": cursor})
    assert [message["content"] for message in page.json()["data"]] == ["Hello world"]


async def test_a_foreign_idempotency_key_joins_nothing(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    mine = (await alice.post(CHAT, json=said("my secret"), headers=key)).json()
    theirs = (await bob.post(CHAT, json=said("my secret"), headers=key)).json()
    assert mine["run_id"] != theirs["run_id"]
    assert mine["thread_id"] != theirs["thread_id"]


async def test_an_admin_sees_no_more_of_others_than_anybody(api: Api, alice: httpx.AsyncClient) -> None:
    root = await api.user("root", admin=True)
    mine = await ask(alice)
    for path in (f"/api/threads/{mine['thread_id']}", f"/api/runs/{mine['run_id']}"):
        problem_of(await root.get(path), 404, "not_found")
