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
