"""`/v1/responses` and `/v1/conversations` on the wire, where the official clients show less."""

from typing import Any

import httpx

from tests.support.api import MODEL

UNKNOWN = "01m8fq9vd0bf26d8mg6k8w7mby"


async def refused(user: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, str, str]:
    answer = await user.post(path, json=body)
    error = answer.json()["error"]
    assert error["message"].startswith(f"{error['param']}: ")
    return answer.status_code, error["code"], error["param"]


async def test_what_is_gone_on_with_and_is_not_there_is_named(alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    first = (await bob.post("/v1/responses", json={"model": MODEL, "input": "Hi"})).json()
    theirs = (await bob.post("/v1/conversations", json={})).json()
    for given in (f"resp_{UNKNOWN}", "resp_", "nonsense", first["id"]):
        told = await refused(alice, "/v1/responses", input="Hi", previous_response_id=given)
        assert told == (400, "previous_response_not_found", "previous_response_id")
    for named in (f"conv_{UNKNOWN}", "nonsense", theirs["id"], {"id": theirs["id"]}):
        told = await refused(alice, "/v1/responses", input="Hi", conversation=named)
        assert told == (404, "not_found", "conversation")
    unstored = (await alice.post("/v1/responses", json={"model": MODEL, "input": "Hi", "store": False})).json()
    named = (await alice.get(f"/api/runs/run_{unstored['id'][5:]}")).json()["thread_id"].replace("thr_", "conv_")
    assert await refused(alice, "/v1/responses", input="Hi", conversation=named) == (404, "not_found", "conversation")


async def items(user: httpx.AsyncClient, conversation: str) -> list[str]:
    listed = (await user.get(f"/v1/conversations/{conversation}/items?order=asc&limit=100")).json()["data"]
    return [item["content"][0]["text"] for item in listed]


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


async def test_a_conversation_is_made_once_by_its_key(alice: httpx.AsyncClient, bob: httpx.AsyncClient):
    key = {"Idempotency-Key": "k"}
    given = {"items": said("One", "Two"), "metadata": {"a": "b"}}
    made = [(await alice.post("/v1/conversations", json=given, headers=key)).json() for _ in range(2)]
    assert made[0] == made[1]
    assert await items(alice, made[0]["id"]) == ["One", "Two"]
    assert len((await alice.get("/api/threads")).json()["data"]) == 1
    for other in ({}, {"items": said("One")}, {**given, "items": said("One", "Two", "3")}, {**given, "metadata": {}}):
        error = (await alice.post("/v1/conversations", json=other, headers=key)).json()["error"]
        assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key"), other
    assert await items(alice, made[0]["id"]) == ["One", "Two"]
    theirs = (await bob.post("/v1/conversations", json=given, headers=key)).json()
    another = (await alice.post("/v1/conversations", json=given)).json()
    assert len({made[0]["id"], theirs["id"], another["id"]}) == 3


async def test_items_are_added_once_by_their_key_and_all_or_none(alice: httpx.AsyncClient):
    conversation, other = [(await alice.post("/v1/conversations", json={})).json()["id"] for _ in range(2)]
    path = f"/v1/conversations/{conversation}/items"
    key = {"Idempotency-Key": "k"}
    added = [(await alice.post(path, json={"items": said("One", "Two")}, headers=key)).json() for _ in range(2)]
    assert added[0] == added[1]
    for texts in (["One"], ["One", "Two", "Three"], ["One", "2"]):
        error = (await alice.post(path, json={"items": said(*texts)}, headers=key)).json()["error"]
        assert error["code"] == "idempotency_key_reused"
    await alice.post(f"/v1/conversations/{other}/items", json={"items": said("One")}, headers=key)
    assert [await items(alice, each) for each in (conversation, other)] == [["One", "Two"], ["One"]]
    many = await refused(alice, path, items=said(*"x" * 21))
    assert many == (400, "invalid_request", "items")
    wrong = await refused(alice, path, items=[*said("Three"), {"role": "user", "content": " "}])
    assert wrong == (400, "invalid_request", "items[1].content")
    assert await items(alice, conversation) == ["One", "Two"]


async def test_what_nobody_looks_at_is_refused_by_its_name(alice: httpx.AsyncClient):
    schema = {"type": "json_schema", "name": "x", "schema": {}}
    for asked, param in (
        ({"text": {"format": {"type": "text", "foo": 1}}}, "text.format.foo"),
        ({"text": {"format": {**schema, "foo": 1}}}, "text.format.foo"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"temperature": True}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(number): 1 for number in range(5000)}}, "metadata"),
        ({"input": [{"role": "user", "content": "Hi", "foo": 1}]}, "input[0].foo"),
    ):
        told = await refused(alice, "/v1/responses", **{"model": MODEL, "input": "Hi", **asked})
        assert told == (400, "invalid_request", param), asked
