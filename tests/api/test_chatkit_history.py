"""The history that the provider keeps: one's own, and nobody else's."""

import httpx
import pytest

from chatorch.adapters.system import SystemClock
from chatorch.domain.model.chatkit_hosted.history import HostedThread
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import Page, PageRequest
from chatorch.domain.model.upstream_errors import UpstreamRejected, UpstreamUnavailable
from tests.support.api import RFC3339_UTC, Api, Apis, problem_of
from tests.support.chatkit import SETTINGS, FakeChatKit

THREADS = "/api/chatkit/threads"


@pytest.fixture
def chatkit() -> FakeChatKit:
    return FakeChatKit(SystemClock())


@pytest.fixture
async def api(apis: Apis, chatkit: FakeChatKit) -> Api:
    return await apis.start(swapped={"chatkit": chatkit}, **SETTINGS)


async def own_threads(client: httpx.AsyncClient, chatkit: FakeChatKit, name: str, count: int = 1) -> list[str]:
    me = (await client.get("/api/me")).json()["user_id"]
    now = SystemClock().now()
    return [chatkit.add_thread(f"cthr_{name}{i}", me, now, f"{name} {i}", "more").id for i in range(count)]


async def test_ones_own_threads_are_listed_page_by_page(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    mine = await own_threads(alice, chatkit, "a", 5)
    await own_threads(bob, chatkit, "b", 5)
    seen, after = [], None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        page = (await alice.get(THREADS, params=query)).json()
        seen += page["data"]
        after = page["after"]
        assert page["has_more"] == (after is not None)
        if not after:
            break
    assert [thread["id"] for thread in seen] == mine[::-1]
    assert seen[-1].keys() == {"id", "title", "status", "created_at"}
    assert (seen[-1]["title"], seen[-1]["status"]) == ("a 0", "active")
    assert RFC3339_UTC.fullmatch(seen[-1]["created_at"])


async def test_items_are_shown_oldest_first_with_all_that_the_provider_says(
    alice: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    (thread,) = await own_threads(alice, chatkit, "a")
    page = (await alice.get(f"{THREADS}/{thread}/items")).json()
    assert [item["content"][0]["text"] for item in page["data"]] == ["a 0", "more"]
    assert {item["type"] for item in page["data"]} == {"user_message"}
    assert (page["has_more"], page["after"]) == (False, None)


async def test_a_foreign_thread_is_not_there(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, chatkit: FakeChatKit
) -> None:
    (thread,) = await own_threads(alice, chatkit, "a")
    problem_of(await bob.get(f"{THREADS}/{thread}/items"), 404, "not_found")
    problem_of(await bob.delete(f"{THREADS}/{thread}"), 404, "not_found")
    assert thread in chatkit.threads


async def test_a_thread_is_deleted_once(alice: httpx.AsyncClient, chatkit: FakeChatKit) -> None:
    (thread,) = await own_threads(alice, chatkit, "a")
    assert (await alice.delete(f"{THREADS}/{thread}")).status_code == 204
    problem_of(await alice.delete(f"{THREADS}/{thread}"), 404, "not_found")
    assert chatkit.threads == {}


async def test_a_cursor_that_no_list_gave_out_is_refused(alice: httpx.AsyncClient, chatkit: FakeChatKit) -> None:
    (thread,) = await own_threads(alice, chatkit, "a")
    for cursor in ("x", "cthr_a0", "%00", HostedCursor("cthr_gone").encode()):
        for path in (THREADS, f"{THREADS}/{thread}/items"):
            problem_of(await alice.get(path, params={"after": cursor}), 422, "invalid_request", "errors")


async def test_a_provider_that_lists_somebody_elses_thread_shows_it_to_nobody(apis: Apis, chatkit: FakeChatKit) -> None:
    class Leaking(FakeChatKit):
        async def list_threads(self, user_id: UserId, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
            return Page(tuple(self.threads.values()))

    leaking = Leaking(SystemClock())
    api = await apis.start(swapped={"chatkit": leaking}, **SETTINGS)
    leaking.add_thread("cthr_x", UserId("usr_somebody"), SystemClock().now(), "secret")
    answer = await (await api.user("alice")).get(THREADS)
    problem_of(answer, 502, "upstream_invalid")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(UpstreamUnavailable(), 503, "upstream_unavailable"), (UpstreamRejected(), 502, "upstream_rejected")],
)
async def test_what_the_provider_refuses_is_its_problem(apis: Apis, failure: Exception, status: int, code: str) -> None:
    class Failing(FakeChatKit):
        async def list_threads(self, user_id: UserId, page: PageRequest[HostedCursor]) -> Page[HostedThread]:
            raise failure

    api = await apis.start(swapped={"chatkit": Failing(SystemClock())}, **SETTINGS)
    problem_of(await (await api.user("alice")).get(THREADS), status, code)
