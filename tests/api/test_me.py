"""``GET /api/me``: whose token this is."""

import httpx

from tests.support.api import Api, problem_of


async def test_me_is_who_holds_the_token(api: Api, alice: httpx.AsyncClient) -> None:
    answer = await alice.get("/api/me")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    body = answer.json()
    user = await api.container.users().by_username("alice")
    assert body == {"user_id": user.id, "username": "alice", "scope": "chat"}
    assert body["user_id"].startswith("usr_")


async def test_an_admin_has_both_scopes(api: Api) -> None:
    root = await api.user("root", admin=True)
    assert (await root.get("/api/me")).json()["scope"] == "admin chat"


async def test_without_a_token_nobody_is_told_anything(api: Api) -> None:
    answer = await api.anonymous().get("/api/me")
    problem_of(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
