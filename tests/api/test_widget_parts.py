"""`POST /chatkit` where an answer is more than text: each item of it can be read, rated, and asked again after."""

import asyncio

import httpx
import pytest

from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from chatorch.ports.chat_model import PartEnd, PartStart
from tests.support.api import Api, newest_run, problem_of
from tests.support.chatkit_page import ITEM, Page, shown
from tests.support.fakes import Pause
from tests.support.widget import Answered, add, asked, create, said, send

THINKS = (PartStart(PartKind.REASONING), "Hm, so")
CALLS = (PartStart(PartKind.TOOL_CALL, {"id": "call_1", "name": "find"}), '{"a": 1}', PartEnd())
ANSWER = (*THINKS, PartEnd(), PartStart(PartKind.TEXT), "So it is", PartEnd(), *CALLS)


async def read(client: httpx.AsyncClient, thread_id: str) -> list[dict[str, object]]:
    page = await asked(client, "items.list", thread_id=thread_id, order="asc", limit=50)
    return [shown(ITEM.validate_python(item)) for item in page["data"]]


def page_of(answer: Answered) -> Page:
    page = Page()
    page.show(answer.events)
    return page


async def test_any_item_of_an_answer_is_rated_as_the_message_and_only_in_its_own_thread(api: Api, alice):
    api.model.then(*ANSWER)
    answer = await create(alice)
    items = page_of(answer).items
    assert [item["type"] for item in items[1:]] == ["workflow", "assistant_message", "client_tool_call"]
    ids = [item["id"] for item in items[1:]]
    rating = {"thread_id": answer.thread_id, "kind": "positive"}
    for rated in (ids, ids[:1], ids[::-1] * 2):
        assert await asked(alice, "items.feedback", item_ids=rated, **rating) == {}
    problem_of(await send(alice, "items.feedback", item_ids=["msg_x.1"], **rating), 404, "not_found")
    other = await create(alice)
    strange = {**rating, "thread_id": other.thread_id}
    problem_of(await send(alice, "items.feedback", item_ids=ids[:1], **strange), 404, "not_found")
    bob = await api.user("bob")
    problem_of(await send(bob, "items.feedback", item_ids=ids[:1], **rating), 404, "not_found")


async def test_an_answer_of_parts_is_asked_for_again_and_talked_on_about(api: Api, alice: httpx.AsyncClient):
    api.model.then(*ANSWER)
    first = await create(alice)
    question = first.items[0].id
    for item in page_of(first).items[1:]:
        refused = await send(alice, "threads.retry_after_item", thread_id=first.thread_id, item_id=item["id"])
        assert refused.status_code in {404, 422}, refused.text
    api.model.then(*THINKS, PartEnd(), PartStart(PartKind.TEXT), "No", PartEnd())
    again = Answered(await send(alice, "threads.retry_after_item", thread_id=first.thread_id, item_id=question))
    assert [item["type"] for item in await read(alice, first.thread_id)] == [
        "user_message", "workflow", "assistant_message",
    ]  # fmt: skip
    assert (await read(alice, first.thread_id))[1:] == page_of(again).items
    more = await add(alice, first.thread_id)
    assert more.shown == "Hello world"
    assert len(await read(alice, first.thread_id)) == 5


@pytest.mark.parametrize("steps", [THINKS, (*THINKS, PartEnd(), *CALLS[:2]), (*THINKS, PartEnd()), ()])
async def test_an_answer_that_breaks_off_shows_live_what_is_read(api: Api, alice: httpx.AsyncClient, steps: tuple):
    api.model.then(*steps, UpstreamUnavailable("It broke."))
    answer = await create(alice)
    assert len(answer.errors) == 1
    assert page_of(answer).items == await read(alice, answer.thread_id)
    assert all(status not in str(page_of(answer).items) for status in ("loading", "pending"))


async def test_an_answer_that_is_stopped_in_a_thought_shows_live_what_is_read(api: Api, alice: httpx.AsyncClient):
    pause = Pause()
    api.model.then(*THINKS, pause)
    asking = asyncio.ensure_future(send(alice, "threads.create", input=said()))
    await pause.reached()
    run_id = await newest_run(alice)
    assert (await alice.post(f"/api/runs/{run_id}/cancel")).status_code == 202
    pause.go_on()
    answer = Answered(await asking)
    assert answer.errors == []
    assert [item["type"] for item in page_of(answer).items] == ["user_message", "workflow"]
    assert page_of(answer).items == await read(alice, answer.thread_id)
