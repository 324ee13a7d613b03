"""Sessions of hosted ChatKit as they end: cancelled, by a sign-out, by an operator, or because something failed."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from dependency_injector import providers

from chatorch.adapters.memory.stores import MemoryStore
from chatorch.adapters.system import SystemClock
from chatorch.domain.model.upstream_errors import UpstreamTimeout, UpstreamUnavailable
from chatorch.domain.services.chatkit_hosted import sessions as sessions_module
from tests.support.api import Api, Apis, in_memory, problem_of
from tests.support.chatkit import SESSION, SETTINGS, FakeChatKit, opened, refreshed, until_cancelled
from tests.support.fakes import FakeClock, Pause


@pytest.fixture
def chatkit() -> FakeChatKit:
    return FakeChatKit(SystemClock())


@pytest.fixture
async def api(apis: Apis, chatkit: FakeChatKit) -> Api:
    return await apis.start(swapped={"chatkit": chatkit}, **SETTINGS)


# -- cancelling ------------------------------------------------------------------------------------------------------


async def test_a_cancelled_session_is_cancelled_at_the_provider_and_cannot_be_refreshed(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    one, other = await opened(alice), await opened(alice)
    answer = await alice.delete(f"{SESSION}/{one['session_id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert chatkit.cancels == [1, 0]
    problem_of(await refreshed(alice, one["client_secret"]), 410, "session_gone")
    assert (await alice.delete(f"{SESSION}/{one['session_id']}")).status_code == 204
    assert chatkit.cancels == [1, 0]
    assert (await refreshed(alice, other["client_secret"])).status_code == 200


async def test_a_foreign_session_cannot_be_cancelled(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    mine = await opened(alice)
    for given in (mine["session_id"], "cks_unknown", "x" * 3000, "%00", "..%2f", "é"):
        problem_of(await bob.delete(f"{SESSION}/{given}"), 404, "not_found")
    assert (await bob.delete(SESSION)).status_code == 204
    assert chatkit.cancels == [0]


async def test_signing_out_cancels_all_of_the_callers_and_nobody_elses(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    mine = [await opened(alice) for _ in range(3)]
    await opened(bob)
    assert (await alice.delete(SESSION)).status_code == 204
    assert chatkit.cancels == [1, 1, 1, 0]
    for session in mine:
        problem_of(await refreshed(alice, session["client_secret"]), 410, "session_gone")


async def test_signing_out_while_a_refresh_is_under_way_leaves_no_session(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    old = await opened(alice)
    pause = Pause()
    chatkit.creating.append(pause)
    refreshing = asyncio.ensure_future(refreshed(alice, old["client_secret"]))
    await pause.reached()
    assert (await alice.delete(SESSION)).status_code == 204
    pause.go_on()
    problem_of(await refreshing, 410, "session_gone")
    assert chatkit.cancels == [1, 1]


async def test_a_cancel_that_fails_is_told_and_tried_again(apis: Apis) -> None:
    clock = FakeClock()
    chatkit = FakeChatKit(clock)
    api = await apis.start(swapped={"chatkit": chatkit, "clock": clock}, **SETTINGS)
    alice = await api.user("alice")
    session = await opened(alice)
    chatkit.cancelling.append(UpstreamUnavailable())
    problem_of(await alice.delete(SESSION), 503, "upstream_unavailable")
    problem_of(await refreshed(alice, session["client_secret"]), 410, "session_gone")
    assert chatkit.cancels == [0]
    clock.wall_offset = timedelta(seconds=31)
    await api.container.chatkit_sessions().sweep()
    await until_cancelled(chatkit, [1])


async def test_a_disabled_users_sessions_are_cancelled_within_seconds(apis: Apis) -> None:
    clock = FakeClock()
    chatkit = FakeChatKit(clock)
    api = await apis.start(swapped={"chatkit": chatkit, "clock": clock}, **SETTINGS)
    alice, bob = await api.user("alice"), await api.user("bob")
    await opened(alice)
    await opened(bob)
    await api.container.accounts().set_disabled("alice", True)
    await clock.until_asleep()
    await clock.advance(sessions_module.SWEEP_S)
    await until_cancelled(chatkit, [1, 0])


# -- what fails ------------------------------------------------------------------------------------------------------


async def test_what_the_provider_does_not_answer_is_a_problem_and_no_session(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    chatkit.creating.append(UpstreamTimeout())
    problem_of(await alice.post(SESSION), 504, "upstream_timeout")
    await opened(alice)


async def test_a_store_that_is_away_is_503_at_every_step_and_leaves_nothing_usable(
    apis: Apis, store: MemoryStore, chatkit: FakeChatKit
) -> None:
    api = await apis.start(swapped={**in_memory(store), "chatkit": chatkit}, **SETTINGS)
    alice = await api.user("alice")
    session = await opened(alice)
    await alice.get("/api/me")
    store.available = False
    for answer in [await alice.post(SESSION), await refreshed(alice, session["client_secret"]),
                   await alice.delete(SESSION), await alice.delete(f"{SESSION}/x")]:  # fmt: skip
        problem_of(answer, 503, "store_unavailable")
    assert len(chatkit.sessions) == 1
    store.available = True
    pause = Pause()
    chatkit.creating.append(pause)
    opening = asyncio.ensure_future(alice.post(SESSION))
    await pause.reached()
    store.available = False
    pause.go_on()
    problem_of(await opening, 503, "store_unavailable")
    assert chatkit.cancels == [0, 1]


def test_every_provider_of_the_container_for_chatkit_resolves(api: Api) -> None:
    for name in ("chatkit_sessions", "chatkit_history", "chatkit_offer", "chatkit_session_store"):
        provider = getattr(api.container, name)
        assert isinstance(provider, providers.Provider)
        assert provider() is not None


async def test_a_session_that_is_cancelled_while_it_is_refreshed_is_not_exchanged(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
):
    old = await opened(alice)
    pause = Pause()
    chatkit.creating.append(pause)
    refreshing = asyncio.ensure_future(refreshed(alice, old["client_secret"]))
    await pause.reached()
    assert (await alice.delete(f"{SESSION}/{old['session_id']}")).status_code == 204
    pause.go_on()

    problem_of(await refreshing, 410, "session_gone")
    await until_cancelled(chatkit, [1, 1])
