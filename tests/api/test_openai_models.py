"""`/v1/models`, and what is not there, as OpenAI's clients see it."""

import httpx

from tests.support.api import MODEL, Apis


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, str | None]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json"), answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    return error


async def test_models_that_have_a_name_are_listed_the_default_first(apis: Apis):
    api = await apis.start(allowed_models="zeta,org/llama,*")
    alice = await api.user("alice")
    listed = (await alice.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [MODEL, "org/llama", "zeta"]
    assert listed["data"][0] == {"id": MODEL, "object": "model", "created": 0, "owned_by": "chatorch"}
    for allowed in ("org/llama", "org%2Fllama", "any-other"):
        assert (await alice.get(f"/v1/models/{allowed}")).json()["id"] == allowed.replace("%2F", "/")


async def test_errors_are_told_as_openai_does(apis: Apis):
    api = await apis.start()
    alice = await api.user("alice")
    assert error_of(await alice.get("/v1/models/gpt-0"), 404, "model_not_found")["param"] == "model"
    assert error_of(await api.anonymous().get("/v1/models"), 401, "not_authenticated")["type"] == "authentication_error"
    error_of(await alice.get("/v1/nowhere"), 404, "not_found")
    error_of(await alice.delete("/v1/models"), 405, "method_not_allowed")


async def test_a_guest_may_look_where_guests_are_allowed(apis: Apis):
    api = await apis.start(anonymous_chat=True)
    assert (await api.anonymous().get("/v1/models")).json()["data"][0]["id"] == MODEL
