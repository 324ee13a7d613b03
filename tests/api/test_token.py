"""``POST /token`` and what its tokens are good for."""

from datetime import timedelta

import httpx
import jwt
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from tests.support.api import PASSWORD, SECRET_KEY, Api, Apis, credentials, in_memory, problem_of
from tests.support.fakes import FakeClock

CLAIMS = {"iss", "aud", "sub", "exp", "iat", "nbf", "jti", "scope"}


def claims_of(token: str) -> dict:
    return jwt.decode(token, SECRET_KEY, algorithms=["HS256"], audience="chatorch", options={"verify_exp": False})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_for(api: Api, username: str) -> str:
    await api.container.accounts().add(username, PASSWORD)
    answer = await api.anonymous().post("/token", data=credentials(username))
    return str(answer.json()["access_token"])


async def test_right_credentials_get_a_token(api: Api) -> None:
    await api.container.accounts().add("alice", PASSWORD)
    answer = await api.anonymous().post("/token", data=credentials("alice"))
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("bearer", 1800, "chat")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("life", [1800, 60])
async def test_a_token_says_who_when_and_what_under_our_key(apis: Apis, life: int) -> None:
    api = await apis.start(access_token_life_s=life)
    token = await token_for(api, "alice")
    assert jwt.get_unverified_header(token) == {"typ": "at+jwt", "alg": "HS256"}
    claims = claims_of(token)
    assert claims.keys() == CLAIMS | {"gen"}
    user = await api.container.users().by_username("alice")
    assert (claims["sub"], claims["scope"], claims["iss"], claims["aud"]) == (user.id, "chat", "chatorch", "chatorch")
    assert claims["exp"] - claims["iat"] == pytest.approx(life)


async def test_every_token_has_an_id_of_its_own(api: Api) -> None:
    await api.container.accounts().add("alice", PASSWORD)
    client = api.anonymous()
    tokens = [(await client.post("/token", data=credentials("alice"))).json()["access_token"] for _ in range(5)]
    assert len({claims_of(token)["jti"] for token in tokens}) == 5


async def test_wrong_credentials_are_the_same_answer_whatever_is_wrong(api: Api) -> None:
    await api.container.accounts().add("alice", PASSWORD)
    await api.container.accounts().add("gone", PASSWORD)
    await api.container.accounts().set_disabled("gone", disabled=True)
    client = api.anonymous(**{"X-Request-ID": "same"})
    wrong = [("alice", "wrong password"), ("nobody", PASSWORD), ("gone", PASSWORD), ("\x1b[31m", PASSWORD)]
    answers = [await client.post("/token", data=credentials(*pair)) for pair in wrong]
    body = problem_of(answers[0], 401, "invalid_grant", "error")
    assert body["error"] == "invalid_grant"
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [answer.headers.multi_items() for answer in answers] == [answers[0].headers.multi_items()] * len(wrong)


@pytest.mark.parametrize("spelling", ["alice", "ALICE", " Alice ", "ＡＬＩＣＥ", "𝓐lice"])
async def test_a_user_name_may_be_spelled_in_any_way_that_unicode_holds_to_be_the_same(api: Api, spelling: str) -> None:
    await api.container.accounts().add("Ａlice", PASSWORD)
    client = await api.sign_in(spelling)
    assert (await client.get("/api/me")).json()["username"] == "alice"


@pytest.mark.parametrize(
    "form",
    [
        {"username": "alice", "password": PASSWORD},
        {"grant_type": "client_credentials", "username": "alice", "password": PASSWORD},
        {"grant_type": "password", "password": PASSWORD},
        {"grant_type": "password", "username": "alice"},
        {"grant_type": "password", "username": "alice", "password": "x" * 1025},
    ],
)
async def test_an_incomplete_form_is_refused(api: Api, form: dict[str, str]) -> None:
    problem_of(await api.anonymous().post("/token", data=form), 422, "invalid_request", "errors")


async def test_unknown_fields_of_the_form_are_ignored(api: Api) -> None:
    await api.container.accounts().add("alice", PASSWORD)
    form = {**credentials("alice"), "client_id": "x", "scope": "admin"}
    answer = await api.anonymous().post("/token", data=form)
    assert (answer.status_code, answer.json()["scope"]) == (200, "chat")


@pytest.mark.parametrize("missing", sorted(CLAIMS))
async def test_a_token_without_one_of_its_claims_is_none(api: Api, missing: str) -> None:
    claims = claims_of(await token_for(api, "alice"))
    forged = jwt.encode(
        {name: value for name, value in claims.items() if name != missing}, SECRET_KEY, headers={"typ": "at+jwt"}
    )
    problem_of(await api.anonymous().get("/api/me", headers=bearer(forged)), 401, "invalid_token")


@pytest.mark.parametrize(
    ("change", "key", "algorithm", "kind"),
    [
        ({}, "another key of at least 32 bytes!!", "HS256", "at+jwt"),
        ({}, SECRET_KEY, "HS512", "at+jwt"),
        ({}, "", "none", "at+jwt"),
        ({}, SECRET_KEY, "HS256", "JWT"),
        ({"iss": "somebody"}, SECRET_KEY, "HS256", "at+jwt"),
        ({"aud": "somebody"}, SECRET_KEY, "HS256", "at+jwt"),
        ({"sub": "usr_nobody"}, SECRET_KEY, "HS256", "at+jwt"),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_forged_token_is_none(api: Api, change: dict[str, str], key: str, algorithm: str, kind: str) -> None:
    claims = claims_of(await token_for(api, "alice"))
    forged = jwt.encode({**claims, **change}, key, algorithm=algorithm, headers={"typ": kind})
    answer = await api.anonymous().get("/api/me", headers=bearer(forged))
    problem_of(answer, 401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_a_token_cannot_give_itself_a_scope_that_the_user_lost(api: Api) -> None:
    claims = claims_of(await token_for(api, "alice"))
    claims["scope"] = "admin chat"
    token = jwt.encode(claims, SECRET_KEY, headers={"typ": "at+jwt"})
    assert (await api.anonymous().get("/api/me", headers=bearer(token))).json()["scope"] == "chat"


async def test_a_token_without_the_scope_for_chat_is_forbidden_to_chat(api: Api) -> None:
    claims = claims_of(await token_for(api, "alice"))
    token = jwt.encode({**claims, "scope": "admin"}, SECRET_KEY, headers={"typ": "at+jwt"})
    answer = await api.anonymous().get("/api/threads", headers=bearer(token))
    problem_of(answer, 403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Token x", "Bearer x.y.z"])
async def test_a_header_that_is_no_token_is_not_let_in_as_nobody(apis: Apis, header: str) -> None:
    api = await apis.start(anonymous_chat=True)
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    answer = await api.anonymous(Authorization=header).post("/api/chat", json=body)
    problem_of(answer, 401, "invalid_token")


# -- too many wrong ones ---------------------------------------------------------------------------------------------


def from_address(api: Api, address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api.app, client=(address, 1)), base_url="http://test")


async def statuses_of(client: httpx.AsyncClient, *pairs: tuple[str, str]) -> list[int]:
    return [(await client.post("/token", data=credentials(*pair))).status_code for pair in pairs]


@pytest.mark.parametrize("name", ["alice", "nobody", "\x1b"])
async def test_after_too_many_wrong_passwords_a_right_one_is_refused_too(apis: Apis, name: str) -> None:
    api = await apis.start(wrong_passwords_per_user=3)
    await api.container.accounts().add("alice", PASSWORD)
    async with from_address(api, "192.0.2.1") as guesser, from_address(api, "192.0.2.2") as owner:
        spellings = [name, name.upper(), f" {name} "]
        assert await statuses_of(guesser, *((spelling, "wrong password") for spelling in spellings)) == [401] * 3
        answer = await guesser.post("/token", data=credentials(name))
        body = problem_of(answer, 429, "too_many_attempts")
        assert 190 <= int(answer.headers["Retry-After"]) <= 200
        assert answer.headers["RateLimit"] == f'"sign-in-user";r=0;t={answer.headers["Retry-After"]}'
        assert answer.headers["RateLimit-Policy"] == '"sign-in-user";q=3;w=600'
        assert body.keys() == {"type", "title", "status", "detail", "code", "request_id", "message"}
        assert await statuses_of(owner, (name, PASSWORD)) == [200 if name == "alice" else 401]


async def test_an_address_from_which_too_many_were_wrong_is_refused_for_all_names(apis: Apis) -> None:
    api = await apis.start(wrong_passwords_per_address=3)
    await api.container.accounts().add("alice", PASSWORD)
    async with from_address(api, "2001:db8::1") as guesser, from_address(api, "2001:db8::2") as neighbour:
        assert await statuses_of(guesser, *((f"name {i}", "wrong password") for i in range(3))) == [401] * 3
        assert await statuses_of(neighbour, ("alice", PASSWORD)) == [429]
    assert (await api.sign_in("alice")).headers["Authorization"]


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(apis: Apis, clock: FakeClock, store: MemoryStore) -> Api:
    return await apis.start(database_url="sqlite:///nowhere.db", swapped={**in_memory(store), "clock": clock})


async def status_of_me(client: httpx.AsyncClient) -> int:
    return (await client.get("/api/me")).status_code


async def test_a_token_lives_half_an_hour_and_thirty_seconds_of_grace(timed: Api, clock: FakeClock) -> None:
    alice = await timed.user("alice")
    clock.wall_offset = timedelta(seconds=1800 + 29)
    assert await status_of_me(alice) == 200
    clock.wall_offset += timedelta(seconds=2)
    problem_of(await alice.get("/api/me"), 401, "invalid_token")


async def test_a_token_from_a_clock_that_is_ahead_is_taken_within_the_same_grace(timed: Api, clock: FakeClock) -> None:
    alice = await timed.user("alice")
    clock.wall_offset = timedelta(seconds=-29)
    assert await status_of_me(alice) == 200
    clock.wall_offset = timedelta(seconds=-31)
    assert await status_of_me(alice) == 401


async def test_a_user_who_is_disabled_is_out_within_five_seconds(timed: Api, clock: FakeClock) -> None:
    alice = await timed.user("alice")
    assert await status_of_me(alice) == 200
    await timed.container.accounts().set_disabled("alice", disabled=True)
    await clock.advance(5.01)
    problem_of(await alice.get("/api/me"), 401, "invalid_token")


async def test_a_new_password_ends_the_old_tokens_and_not_the_new_ones(timed: Api, clock: FakeClock) -> None:
    alice = await timed.user("alice")
    assert await status_of_me(alice) == 200
    await clock.advance(0.01)
    await timed.container.accounts().set_password("alice", "another password")
    await clock.advance(5.01)
    assert await status_of_me(alice) == 401
    again = await timed.sign_in("alice", "another password")
    assert await status_of_me(again) == 200


async def test_a_store_that_is_away_is_never_a_wrong_token_or_password(memory_api: Api, store: MemoryStore) -> None:
    alice = await memory_api.user("alice")
    store.available = False
    for answer in (await alice.get("/api/me"), await alice.post("/token", data=credentials("alice"))):
        problem_of(answer, 503, "store_unavailable")
        assert answer.headers["Retry-After"] == "1"
