"""What is asked of OpenAI's `beta.chatkit`, and what is made of its answers."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import respx

from chatorch.adapters.chatkit_hosted.provider import OpenAIChatKit, SessionOptions
from chatorch.domain.model.chatkit_hosted.errors import (
    ChatKitDomainNotAllowed,
    ChatKitNotConfigured,
    ChatKitWrongOrganization,
    HostedNotFound,
    WorkflowNotFound,
)
from chatorch.domain.model.chatkit_hosted.paging import HostedCursor
from chatorch.domain.model.identity import UserId
from chatorch.domain.model.paging import PageRequest
from chatorch.domain.model.upstream_errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.support.chatkit_upstream import ITEM, THREAD, session_json
from tests.support.openai_bridge import bridged

URL = "https://api.openai.com/v1/chatkit"
KEY = "sk-canary-0123456789"
ANN = UserId("usr_ann")
BODY_CANARY = "Incorrect API key provided: sk-canary-0123456789"

New = Callable[..., OpenAIChatKit]


@pytest.fixture
def router() -> respx.MockRouter:
    return respx.MockRouter(assert_all_called=False)


@pytest.fixture
async def new(router: respx.MockRouter) -> AsyncIterator[New]:
    made: list[OpenAIChatKit] = []

    def new(**arguments: Any) -> OpenAIChatKit:
        made.append(OpenAIChatKit(KEY, http_client=bridged(router), **arguments))
        return made[-1]

    yield new
    for chatkit in made:
        await chatkit.aclose()


@pytest.fixture
def chatkit(new: New) -> OpenAIChatKit:
    return new(max_retries=0)


def error(status: int, code: str | None = None, **headers: str) -> httpx.Response:
    body = {"error": {"message": BODY_CANARY, "type": "invalid_request_error", "param": None, "code": code}}
    return httpx.Response(status, json=body, headers=headers)


# -- requests --------------------------------------------------------------------------------------------------------


async def test_a_session_is_created_with_what_the_operator_set(new: New, router: respx.MockRouter) -> None:
    answer = session_json("1")
    route = router.post(f"{URL}/sessions").respond(json=answer)
    options = SessionOptions(300, 20, True, max_files=3, max_file_mb=5, history=True, recent_threads=7)

    issued = await new(options=options).create(ANN, "wf_one")

    request = route.calls.last.request
    assert json.loads(request.content) == {
        "user": "usr_ann",
        "workflow": {"id": "wf_one"},
        "expires_after": {"anchor": "created_at", "seconds": 300},
        "rate_limits": {"max_requests_per_1_minute": 20},
        "chatkit_configuration": {
            "file_upload": {"enabled": True, "max_files": 3, "max_file_size": 5},
            "history": {"enabled": True, "recent_threads": 7},
        },
    }
    assert request.headers["OpenAI-Beta"] == "chatkit_beta=v1"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (issued.id, issued.secret.reveal()) == ("cksess_1", "ek_secret1")
    assert issued.expires_at == datetime.fromtimestamp(answer["expires_at"], UTC)
    assert "ek_" not in repr(issued)


async def test_usually_ten_minutes_ten_requests_no_files_and_a_history(
    chatkit: OpenAIChatKit, router: respx.MockRouter
) -> None:
    route = router.post(f"{URL}/sessions").respond(json=session_json("1"))

    await chatkit.create(ANN, "wf_one")

    body = json.loads(route.calls.last.request.content)
    assert (body["expires_after"]["seconds"], body["rate_limits"]["max_requests_per_1_minute"]) == (600, 10)
    assert body["chatkit_configuration"] == {"file_upload": {"enabled": False}, "history": {"enabled": True}}


async def test_a_session_is_cancelled_by_its_id_and_one_that_is_not_there_is(
    chatkit: OpenAIChatKit, router: respx.MockRouter
) -> None:
    route = router.post(f"{URL}/sessions/cksess_1/cancel").respond(json=session_json("1", status="cancelled"))
    router.post(f"{URL}/sessions/cksess_2/cancel").mock(return_value=error(404))

    await chatkit.cancel("cksess_1")
    await chatkit.cancel("cksess_2")

    assert route.call_count == 1


async def test_threads_are_listed_for_one_user_and_items_for_one_thread(
    chatkit: OpenAIChatKit, router: respx.MockRouter
) -> None:
    page = {"object": "list", "data": [THREAD], "first_id": "cthr_1", "last_id": "cthr_1", "has_more": True}
    threads = router.get(url__startswith=f"{URL}/threads?").respond(json=page)
    items = router.get(url__startswith=f"{URL}/threads/cthr_1/items").respond(
        json={"object": "list", "data": [ITEM], "has_more": False}
    )

    found = await chatkit.list_threads(ANN, PageRequest(2, HostedCursor("cthr_9"), descending=True))
    said = await chatkit.list_items("cthr_1", PageRequest(3))

    assert dict(threads.calls.last.request.url.params) == {
        "user": "usr_ann", "limit": "2", "order": "desc", "after": "cthr_9",
    }  # fmt: skip
    assert dict(items.calls.last.request.url.params) == {"limit": "3", "order": "asc"}
    assert [(one.id, one.user_id, one.title, one.status) for one in found.items] == [
        ("cthr_1", "usr_ann", "A title", "active")
    ]
    assert found.after == HostedCursor("cthr_1").encode()
    (item,) = said.items
    assert (item.type, item.members["content"], said.after) == ("user_message", ITEM["content"], None)


async def test_an_item_of_a_kind_that_the_sdk_does_not_know_is_shown_as_it_is(
    chatkit: OpenAIChatKit, router: respx.MockRouter
) -> None:
    strange = {**ITEM, "type": "chatkit.hologram", "beam": {"power": [1, "a\0\ud800"]}}
    router.get(url__startswith=f"{URL}/threads/cthr_1/items").respond(
        content=json.dumps({"data": [strange], "has_more": False})
    )

    (item,) = (await chatkit.list_items("cthr_1", PageRequest())).items

    assert (item.type, item.members["beam"]) == ("hologram", {"power": [1, "a\ufffd\ufffd"]})


# -- what fails ------------------------------------------------------------------------------------------------------

REFUSALS = [
    (error(404), WorkflowNotFound, "CHATORCH_CHATKIT_WORKFLOWS"),
    (error(401, "invalid_api_key"), UpstreamAuthFailed, "OPENAI_API_KEY"),
    (error(401, "mismatched_organization"), ChatKitWrongOrganization, "OPENAI_ORG_ID"),
    (error(401, "mismatched_project"), ChatKitWrongOrganization, "OPENAI_PROJECT_ID"),
    (error(403), UpstreamAuthFailed, "OPENAI_API_KEY"),
    (error(403, "domain_not_allowed"), ChatKitDomainNotAllowed, "Domain allowlist"),
    (error(400), UpstreamRejected, "400"),
    (error(410), UpstreamRejected, "410"),
    (error(429, **{"Retry-After": "7"}), UpstreamRateLimited, "rate"),
    (error(500), UpstreamError, "500"),
    (error(503), UpstreamUnavailable, "503"),
    (httpx.Response(500, text="oops"), UpstreamError, "500"),
]


@pytest.mark.parametrize(("answer", "kind", "hint"), REFUSALS)
async def test_a_refusal_names_what_to_look_at_and_nothing_of_the_body(
    new: New, router: respx.MockRouter, answer: httpx.Response, kind: type[UpstreamError], hint: str
) -> None:
    route = router.post(f"{URL}/sessions").mock(return_value=answer)

    with pytest.raises(UpstreamError) as raised:
        await new().create(ANN, "wf_one")

    assert type(raised.value) is kind
    assert hint in raised.value.detail
    assert "canary" not in raised.value.detail
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert route.call_count == 1, "each try may leave a session"
    if kind is UpstreamRateLimited:
        assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    ("fault", "kind"), [(httpx.ReadTimeout, UpstreamTimeout), (httpx.ReadError, UpstreamUnavailable)]
)
async def test_a_session_is_asked_for_once_whatever_happens_to_the_answer(
    new: New, router: respx.MockRouter, fault: type[Exception], kind: type[UpstreamError]
) -> None:
    route = router.post(f"{URL}/sessions").mock(side_effect=fault("cut"))

    with pytest.raises(kind):
        await new().create(ANN, "wf_one")

    assert route.call_count == 1


async def test_cancelling_is_tried_again(new: New, router: respx.MockRouter) -> None:
    answers = [httpx.Response(500, headers={"retry-after-ms": "1"}), httpx.Response(200, json=session_json("1"))]
    route = router.post(f"{URL}/sessions/cksess_1/cancel").mock(side_effect=answers)

    await new().cancel("cksess_1")

    assert route.call_count == 2


GOOD = session_json("1")
NONSENSE = [
    "<html>", "", "{}", "[]", "[1]", "null", '"ek_secret"', "{", "[" * 100_000, '{"id": NaN}', "\xff",
    *(json.dumps({**GOOD, name: value}) for name, values in {
        "id": [None, 1, "", "a/b", "..", "x" * 200, {}],
        "client_secret": [None, 1, "", "a b", "é", "ek\n", "x" * 5000],
        "expires_at": [None, "soon", True, -1, 1e300, 10**20, {}],
    }.items() for value in values),
]  # fmt: skip


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_200_that_is_no_session_is_none(chatkit: OpenAIChatKit, router: respx.MockRouter, body: str) -> None:
    for kind in ("application/json", "text/html"):
        router.post(f"{URL}/sessions").respond(content=body.encode("latin-1"), headers={"content-type": kind})
        with pytest.raises(UpstreamInvalid):
            await chatkit.create(ANN, "wf_one")


@pytest.mark.parametrize("change", [
    {"data": None}, {"data": {}}, {"data": [1]}, {"data": [{}]}, {"data": [{**THREAD, "user": None}]},
    {"data": [{**THREAD, "status": "active"}]}, {"data": [{**THREAD, "title": 5}]}, {"data": [{**THREAD, "id": "a/b"}]},
])  # fmt: skip
async def test_a_list_that_is_none_is_invalid(
    chatkit: OpenAIChatKit, router: respx.MockRouter, change: dict[str, Any]
) -> None:
    router.get(url__startswith=f"{URL}/threads").respond(json={"data": [THREAD], "has_more": False, **change})

    with pytest.raises(UpstreamInvalid):
        await chatkit.list_threads(ANN, PageRequest())


async def test_a_thread_that_is_not_there_is_not_found(chatkit: OpenAIChatKit, router: respx.MockRouter) -> None:
    router.route(url__startswith=f"{URL}/threads/cthr_2").mock(return_value=error(404))

    for ask in (chatkit.read_thread, chatkit.delete_thread, lambda id_: chatkit.list_items(id_, PageRequest())):
        with pytest.raises(HostedNotFound):
            await ask("cthr_2")


async def test_without_a_key_nothing_is_asked() -> None:
    chatkit = OpenAIChatKit(None)
    with pytest.raises(ChatKitNotConfigured):
        await chatkit.create(ANN, "wf_one")
    with pytest.raises(ChatKitNotConfigured):
        await chatkit.read_thread("cthr_1")
    await chatkit.aclose()
