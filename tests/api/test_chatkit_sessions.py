"""Sessions of hosted ChatKit, as a page gets, exchanges and cancels them."""

import asyncio
from datetime import datetime, timedelta

import httpx
import pytest

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import SystemClock
from tests.support.api import RFC3339_UTC, Api, Apis, in_memory, problem_of
from tests.support.chatkit import REFRESH, SESSION, SETTINGS, WORKFLOW, FakeChatKit, opened, refreshed, until_cancelled
from tests.support.fakes import FakeClock, Pause


@pytest.fixture
def chatkit() -> FakeChatKit:
    return FakeChatKit(SystemClock())


@pytest.fixture
async def api(apis: Apis, chatkit: FakeChatKit) -> Api:
    return await apis.start(swapped={"chatkit": chatkit}, **SETTINGS)


# -- opening ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_the_callers_own_and_is_not_to_be_stored(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    answer = await alice.post(SESSION)
    body = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert body.keys() == {"session_id", "client_secret", "expires_at", "refresh_at"}
    assert body["session_id"].startswith("cks_")
    assert RFC3339_UTC.fullmatch(body["expires_at"])
    times = [datetime.fromisoformat(body[name]) for name in ("refresh_at", "expires_at")]
    assert (times[1] - times[0]).total_seconds() == pytest.approx(120, abs=1)
    (created,) = chatkit.sessions.values()
    assert created.user_id == (await alice.get("/api/me")).json()["user_id"]
    assert (created.workflow_id, created.issued.secret.reveal()) == (WORKFLOW, body["client_secret"])


async def test_a_workflow_is_chosen_among_those_of_the_operator(alice: httpx.AsyncClient, chatkit: FakeChatKit) -> None:
    await opened(alice, workflow_id="wf_two")
    assert [created.workflow_id for created in chatkit.sessions.values()] == ["wf_two"]
    body = problem_of(
        await alice.post(SESSION, json={"workflow_id": "wf_other"}), 422, "workflow_not_allowed", "errors"
    )
    assert body["errors"][0]["field"] == "workflow_id"
    assert "CHATORCH_CHATKIT_WORKFLOWS" in body["detail"]
    assert chatkit.asked == 1


@pytest.mark.parametrize("field", ["user", "user_id", "users", "workflow"])
async def test_nobody_can_name_another_user(alice: httpx.AsyncClient, chatkit: FakeChatKit, field: str) -> None:
    answer = await alice.post(SESSION, json={field: "usr_somebody"})
    problem_of(answer, 422, "invalid_request", "errors")
    answer = await alice.post(REFRESH, json={"client_secret": "ek_x", field: "usr_somebody"})
    problem_of(answer, 422, "invalid_request", "errors")
    assert chatkit.asked == 0


async def test_a_guest_gets_none(apis: Apis, chatkit: FakeChatKit) -> None:
    api = await apis.start(swapped={"chatkit": chatkit}, anonymous_chat=True, **SETTINGS)
    guest = api.anonymous()
    for answer in [await guest.post(SESSION), await refreshed(guest, "ek_x"), await guest.delete(SESSION)]:
        problem_of(answer, 401, "not_authenticated")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({"openai_api_key": None}, "OPENAI_API_KEY"), ({"chatkit_workflows": ""}, "CHATORCH_CHATKIT_WORKFLOWS")],
)
async def test_without_a_key_or_a_workflow_the_answer_names_the_setting(
    apis: Apis, settings: dict[str, object], missing: str
) -> None:
    api = await apis.start(**{**SETTINGS, **settings})
    alice = await api.user("alice")
    answers = [
        await alice.post(SESSION),
        await refreshed(alice, "ek_secret00000001"),
        await alice.get("/api/chatkit/threads"),
        await alice.get("/api/chatkit/threads/cthr_1/items"),
        await alice.delete("/api/chatkit/threads/cthr_1"),
    ]
    for answer in answers:
        assert missing in problem_of(answer, 503, "chatkit_not_configured")["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    assert (await alice.delete(SESSION)).status_code == 204


async def test_a_hosted_thread_that_is_the_callers_is_given_back(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    me = (await alice.get("/api/me")).json()["user_id"]
    chatkit.add_thread("cthr_1", me, SystemClock().now(), "hello")
    assert (await opened(alice, thread_id="cthr_1"))["thread_id"] == "cthr_1"
    problem_of(await bob.post(SESSION, json={"thread_id": "cthr_1"}), 404, "not_found")
    for bad in ("cthr_2", "../sessions", "a/b", "a?b", "%2e"):
        problem_of(await alice.post(SESSION, json={"thread_id": bad}), 404, "not_found")
    assert chatkit.asked == 1


# -- refreshing ------------------------------------------------------------------------------------------------------


async def test_a_refresh_gives_a_new_session_of_the_same_workflow_and_cancels_the_old(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    old = await opened(alice, workflow_id="wf_two")
    answer = await alice.post(REFRESH, json={"token": old["client_secret"]})
    new = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert new.keys() == old.keys()
    assert new["client_secret"] != old["client_secret"]
    assert new["session_id"] != old["session_id"]
    assert {created.workflow_id for created in chatkit.sessions.values()} == {"wf_two"}
    await until_cancelled(chatkit, [1, 0])


async def test_a_secret_that_is_unknown_or_somebody_elses_is_not_found(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    mine = await opened(alice)
    for secret in (mine["client_secret"], "ek_unknown", "x", "é" * 100):
        problem_of(await refreshed(bob, secret), 404, "not_found")
    assert (chatkit.asked, chatkit.cancels) == (1, [0])


async def test_two_tabs_at_once_get_the_same_session(alice: httpx.AsyncClient, chatkit: FakeChatKit) -> None:
    old = await opened(alice)
    pause = Pause()
    chatkit.creating.append(pause)
    tabs = [asyncio.ensure_future(refreshed(alice, old["client_secret"])) for _ in range(2)]
    await pause.reached()
    for _ in range(100):  # the other tab looks into the ledger meanwhile
        await asyncio.sleep(0.001)
    pause.go_on()
    first, second = [answer.json() for answer in await asyncio.gather(*tabs)]
    assert first == second
    assert len(chatkit.sessions) == 2
    await until_cancelled(chatkit, [1, 0])


async def test_two_workers_give_two_tabs_the_same_session_and_cancel_the_old_once(
    apis: Apis, chatkit: FakeChatKit, store: MemoryStore
) -> None:
    workers = [await apis.start(swapped={**in_memory(store), "chatkit": chatkit}, **SETTINGS) for _ in range(2)]
    first = await workers[0].user("alice")
    second = await workers[1].sign_in("alice")
    old = await opened(first)
    pause = Pause()
    chatkit.creating.append(pause)
    tabs = [asyncio.ensure_future(refreshed(tab, old["client_secret"])) for tab in (first, second)]
    await pause.reached()
    pause.go_on()
    one, other = [answer.json() for answer in await asyncio.gather(*tabs)]
    assert one == other
    assert one["client_secret"] != old["client_secret"]
    await until_cancelled(chatkit, [1, 0])


async def test_a_tab_that_comes_a_little_later_or_lost_the_answer_gets_the_same(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    old = await opened(alice)
    first = await refreshed(alice, old["client_secret"])
    again = await refreshed(alice, old["client_secret"])
    assert (first.status_code, again.json()) == (200, first.json())
    await until_cancelled(chatkit, [1, 0])


async def test_a_user_with_ever_more_pages_loses_the_oldest_and_nobody_else_any(apis: Apis) -> None:
    clock = FakeClock()
    chatkit = FakeChatKit(clock)
    settings = {**SETTINGS, "chatkit_sessions_per_user": 3}
    api = await apis.start(swapped={"chatkit": chatkit, "clock": clock}, **settings)
    alice, bob = await api.user("alice"), await api.user("bob")
    await opened(bob)
    mine = []
    for _ in range(5):
        mine.append(await opened(alice))
        clock.wall_offset += timedelta(seconds=61)
    await until_cancelled(chatkit, [0, 1, 1, 0, 0, 0])
    problem_of(await refreshed(alice, mine[0]["client_secret"]), 410, "session_gone")
    assert (await refreshed(alice, mine[2]["client_secret"])).status_code == 200
    await until_cancelled(chatkit, [0, 1, 1, 1, 0, 0, 0])


async def test_a_user_who_opens_and_exchanges_in_a_loop_is_told_when_to_come_back(
    apis: Apis,
) -> None:
    clock = FakeClock()
    chatkit = FakeChatKit(clock)
    api = await apis.start(swapped={"chatkit": chatkit, "clock": clock}, **SETTINGS)
    alice, bob = await api.user("alice"), await api.user("bob")
    answers = await asyncio.gather(*(alice.post(SESSION) for _ in range(40)))
    given = [answer.json()["client_secret"] for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(given) == 20
    refused.append(await refreshed(alice, given[-1]))
    clock.wall_offset += timedelta(seconds=20.5)
    refused.append(await alice.post(SESSION))
    for answer in refused:
        assert "CHATORCH_CHATKIT_SESSIONS_PER_USER" in problem_of(answer, 429, "too_many_sessions")["detail"]
    assert {answer.headers["Retry-After"] for answer in refused} == {"60", "40"}
    assert chatkit.asked == 20
    await opened(bob)
    clock.wall_offset += timedelta(seconds=40)
    assert (await refreshed(alice, given[-1])).status_code == 200


@pytest.mark.parametrize(("after_s", "status"), [(590, 200), (1190, 200), (1201, 410), (100_000, 404)])
async def test_a_secret_is_taken_until_ten_minutes_after_its_end(apis: Apis, after_s: float, status: int) -> None:
    clock = FakeClock()
    chatkit = FakeChatKit(clock)
    api = await apis.start(swapped={"chatkit": chatkit, "clock": clock}, access_token_life_s=200_000, **SETTINGS)
    alice = await api.user("alice")
    old = await opened(alice)
    clock.wall_offset = timedelta(seconds=after_s)
    await api.container.chatkit_sessions().sweep()
    await api.container.chatkit_sessions().sweep()
    answer = await refreshed(alice, old["client_secret"])
    assert answer.status_code == status, answer.text
    if status == 410:
        problem_of(answer, 410, "session_gone")
