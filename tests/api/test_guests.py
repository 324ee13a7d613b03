"""Guests: one turn without a token, where the operator lets them in."""

import asyncio

import httpx
import pytest

from tests.support.api import Api, Apis, ask, problem_of, said
from tests.support.eventually import eventually
from tests.support.fakes import Pause
from tests.support.plumbed_app import serving

CHAT = "/api/chat"


@pytest.fixture
async def open_api(apis: Apis) -> Api:
    return await apis.start(anonymous_chat=True)


async def test_a_guest_gets_an_answer(open_api: Api) -> None:
    answer = await open_api.anonymous().post(CHAT, json=said(user_id="kiosk 7"))
    assert (answer.status_code, answer.json()["response"]) == (200, "Hello world")


async def test_a_guests_user_id_is_a_mere_label_even_where_it_is_a_users_id(open_api: Api) -> None:
    alice = await open_api.user("alice")
    own = (await alice.get("/api/me")).json()["user_id"]
    answer = await open_api.anonymous().post(CHAT, json=said(user_id=own))
    assert answer.status_code == 200
    assert open_api.model.calls[0].prompt.user != own
    assert (await alice.get("/api/threads")).json()["data"] == []
    assert (await alice.get(f"/api/runs/{answer.json()['run_id']}")).status_code == 404


async def test_a_guest_may_stream(open_api: Api) -> None:
    answer = await open_api.anonymous().post(CHAT, json=said(stream=True))
    assert "run.completed" in answer.text


async def test_a_guest_cannot_continue_a_thread_not_even_the_own_one(open_api: Api) -> None:
    guest = open_api.anonymous()
    thread = (await guest.post(CHAT, json=said())).json()["thread_id"]
    for thread_id in (thread, "thr_nowhere"):
        problem_of(await guest.post(CHAT, json=said(thread_id=thread_id)), 403, "guest_thread")


async def test_a_guest_has_nothing_but_this_one_door(open_api: Api) -> None:
    guest = open_api.anonymous()
    run = (await guest.post(CHAT, json=said())).json()["run_id"]
    for path in ("/api/me", "/api/threads", f"/api/runs/{run}", f"/api/runs/{run}/events"):
        problem_of(await guest.get(path), 401, "not_authenticated")
    problem_of(await guest.post("/api/chat/protected", json=said()), 401, "not_authenticated")


async def test_where_guests_are_let_in_a_token_still_counts(open_api: Api) -> None:
    alice = await open_api.user("alice")
    answer = await alice.post(CHAT, json=said())
    again = await ask(alice, thread_id=answer.json()["thread_id"])
    assert again["thread_id"] == answer.json()["thread_id"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_guest_who_leaves_cancels_the_run_at_once(open_api: Api, stream: bool) -> None:
    pause = Pause()
    open_api.model.then("a", pause)
    async with serving(open_api.app) as (host, port), httpx.AsyncClient() as client:
        asked = asyncio.ensure_future(client.post(f"http://{host}:{port}{CHAT}", json=said(stream=stream)))
        await pause.reached()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        async with asyncio.timeout(0.5):
            await open_api.model.calls[0].until_closed()
        assert not open_api.model.calls[0].finished

        async def is_counted() -> bool:
            text = (await open_api.anonymous().get("/metrics")).text
            return 'chatorch_runs_total{code="",status="cancelled"} 1.0' in text

        await eventually(is_counted)


async def test_only_so_many_guests_at_once(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True, max_live_guest_runs=2)
    pause = Pause()
    api.model.then("a", pause)
    api.model.then("b", pause)
    guest, alice = api.anonymous(), await api.user("alice")
    waiting = [asyncio.ensure_future(guest.post(CHAT, json=said())) for _ in range(5)]
    done, pending = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    async with asyncio.timeout(5):
        while len(done) < 3:
            more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            done |= more
    for refused in done:
        assert "GUEST_RUNS" in problem_of(refused.result(), 429, "too_many_runs")["detail"]
    assert (await alice.post(CHAT, json=said())).status_code == 200
    pause.go_on()
    assert {(await answer).status_code for answer in pending} == {200}
    assert (await guest.post(CHAT, json=said())).status_code == 200


async def test_a_guests_idempotency_key_means_nothing(open_api: Api) -> None:
    guest = open_api.anonymous(**{"Idempotency-Key": "mine"})
    runs = {(await guest.post(CHAT, json=said(text))).json()["run_id"] for text in ("Hi", "Hi", "Ho")}
    assert len(runs) == 3


async def test_where_guests_are_not_let_in_they_are_asked_for_a_token(api: Api) -> None:
    problem_of(await api.anonymous().post(CHAT, json=said(user_id="kiosk 7")), 401, "not_authenticated")


# -- what one may send, and how often ---------------------------------------------------------------------------------


def message(role: str, content: str = "Hi") -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "roles",
    [
        ["user", "user"],
        ["user", "assistant", "user"],
        ["system", "system", "user"],
        ["assistant", "user"],
        ["user"] * 999,
    ],
)
async def test_a_guest_sends_one_message(open_api: Api, roles: list[str]) -> None:
    answer = await open_api.anonymous().post(CHAT, json={"messages": [message(role) for role in roles]})
    body = problem_of(answer, 422, "invalid_request", "errors")
    assert [error["field"] for error in body["errors"]] == ["messages"]
    assert open_api.model.calls == []


async def test_a_guests_metadata_is_small(open_api: Api) -> None:
    guest = open_api.anonymous()
    small, large = ({**message("user"), "metadata": {"x": "\xe9" * count}} for count in (160, 180))
    assert (await guest.post(CHAT, json={"messages": [small]})).status_code == 200
    body = problem_of(await guest.post(CHAT, json={"messages": [large]}), 422, "invalid_request", "errors")
    assert [error["field"] for error in body["errors"]] == ["messages.0.metadata"]


@pytest.mark.parametrize(("allowed", "status"), [(True, 200), (False, 422)])
async def test_a_guest_may_say_who_the_model_is_where_clients_may(apis: Apis, allowed: bool, status: int) -> None:
    api = await apis.start(anonymous_chat=True, client_system=allowed)
    said = [message("system", "You are a pirate."), message("user")]
    answer = await api.anonymous().post(CHAT, json={"messages": said})
    assert answer.status_code == status


async def test_a_user_may_still_bring_a_history(open_api: Api) -> None:
    alice = await open_api.user("alice")
    said = [message(role) for role in ("user", "assistant", "user")]
    assert (await alice.post(CHAT, json={"messages": said})).status_code == 200


async def test_an_address_has_so_many_guests_a_minute(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True, guest_requests_per_minute=3)
    guest, alice = api.anonymous(), await api.user("alice")
    assert [(await guest.post(CHAT, json=said())).status_code for _ in range(3)] == [200] * 3
    answer = await guest.post(CHAT, json=said())
    problem_of(answer, 429, "too_many_requests")
    assert 18 <= int(answer.headers["Retry-After"]) <= 20
    assert answer.headers["RateLimit"] == f'"guest-requests";r=0;t={answer.headers["Retry-After"]}'
    assert answer.headers["RateLimit-Policy"] == '"guest-requests";q=3;w=60'
    assert len(api.model.calls) == 3
    assert (await alice.post(CHAT, json=said())).status_code == 200
    transport = httpx.ASGITransport(api.app, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as elsewhere:
        assert (await elsewhere.post(CHAT, json=said())).status_code == 200


async def test_one_address_cannot_hold_the_places_of_all_guests(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True, max_live_guest_runs_per_address=1)
    pause = Pause()
    api.model.then("a", pause)
    guest = api.anonymous()
    waiting = asyncio.ensure_future(guest.post(CHAT, json=said()))
    await pause.reached()
    answer = await guest.post(CHAT, json=said())
    assert "PER_ADDRESS" in problem_of(answer, 429, "too_many_runs")["detail"]
    assert answer.headers["Retry-After"] == "1"
    pause.go_on()
    assert (await waiting).status_code == 200
    assert (await guest.post(CHAT, json=said())).status_code == 200


async def test_what_a_guest_wrote_is_removed_when_its_time_is_over(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True, guest_retention_hours=0)
    alice = await api.user("alice")
    guests = (await api.anonymous().post(CHAT, json=said(user_id="kiosk"))).json()["thread_id"]
    mine = (await ask(alice))["thread_id"]

    async def kept() -> list[str]:
        return await api.container.database().read(
            lambda connection: connection.exec_driver_sql("SELECT id FROM threads ORDER BY id").scalars().all()
        )

    assert await kept() == sorted([guests, mine])
    await api.container.guest_retention().sweep()
    assert await kept() == [mine]
