"""Bodies of more than 64 KiB are for who holds a token: they are read before anybody is asked who it is."""

import httpx
import pytest

from chatorch.entrypoints.common.middleware.body_cap import FREE_BYTES
from tests.support.api import Api, Apis, said

CHAT = "/api/chat/protected"
LARGE = b'{"messages": [{"role": "user", "content": "Hi"}], "padding": "' + b"x" * FREE_BYTES + b'"}'
SMALL = LARGE[:100] + b'"}'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", [CHAT, "/api/chat", "/token", "/chatkit"])
async def test_who_brings_no_token_may_not(api: Api, path: str) -> None:
    stranger = api.anonymous(**(FORM if path == "/token" else JSON))
    assert (await stranger.post(path, content=LARGE)).status_code == 413
    assert (await stranger.post(path, content=SMALL)).status_code in {401, 422, 400}


@pytest.mark.parametrize("token", ["Bearer nonsense", "Basic dXNlcjpw", ""])
async def test_a_bad_token_is_told_so_before_the_rest_is_read(api: Api, token: str) -> None:
    answer = await api.anonymous(**JSON, Authorization=token).post(CHAT, content=LARGE)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_who_holds_one_may(alice: httpx.AsyncClient) -> None:
    answer = await alice.post(CHAT, content=LARGE, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_guests_may_where_they_may_come_in(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True)
    guest = api.anonymous(**JSON)
    for _ in range(20):
        assert (await guest.post("/api/chat", content=LARGE)).status_code == 422
    assert (await guest.post("/api/chat", json=said())).status_code == 200
