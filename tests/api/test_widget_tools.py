"""`POST /chatkit` where an answer calls tools: shown as they get on, answered by the page, and paged over."""

import asyncio
from typing import Any

import httpx

from chatorch.ports.tools import ToolOutput
from tests.api.test_turns import FIND, answer_calls, say, with_tools
from tests.api.test_widget_parts import read
from tests.support.api import Api, Apis
from tests.support.fakes import Pause
from tests.support.turns import ASKS, Handled, calling
from tests.support.widget import asked, create
from tests.support.widget_tab import Tab


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


async def test_calls_are_shown_between_what_is_said_before_and_after_them(apis: Apis):
    weather = Handled("weather", "sunny", progress=("looking", {"at": 2}))
    api = await with_tools(apis, weather, Handled("log", "x" * 5000), Handled("down", ToolOutput("no", is_error=True)))
    alice = await api.user("alice")
    api.model.then("Hm. ", *calling("weather", city="Rome"), *calling("log", "c2"), *calling("down", "c3"), ASKS)
    api.model.then("Sunny.")
    answer = await create(alice)
    tab = Tab(alice, answer.thread_id)
    tab.page.show(answer.events)
    assert kinds(tab.items) == ["user_message", "assistant_message", *["workflow"] * 3, "assistant_message"]
    assert [item["content"][0]["text"] for item in tab.items if "content" in item] == ["Hi", "Hm. ", "Sunny."]
    tasks = [item["workflow"]["tasks"][0] for item in tab.items[2:5]]
    assert [(task["title"], task["status_indicator"]) for task in tasks] == [
        ("weather", "complete"), ("log", "complete"), ("down: failed", "complete"),
    ]  # fmt: skip
    assert tasks[0]["content"] == "sunny"
    assert len(tasks[1]["content"]) < 400
    told = [event.update.task.content for event in answer.events if event.type == "thread.item.updated" and
            event.update.type == "workflow.task.updated"]  # fmt: skip
    assert told == ["looking", '{"at": 2}']
    await tab.shows_what_is_read()
    assert len({item["id"] for item in tab.items}) == len(tab.items)


async def test_a_call_that_is_being_made_is_seen_by_who_loads_the_thread(apis: Apis):
    pause = Pause()
    api = await with_tools(apis, Handled("weather", "sunny", waits=pause, progress=("looking",)))
    alice = await api.user("alice")
    api.model.then(*calling("weather"), ASKS)
    asking = asyncio.ensure_future(create(alice))
    await pause.reached()
    [thread] = (await asked(alice, "threads.list"))["data"]
    [_, call] = (await Tab(alice, thread["id"]).load()).items
    [task] = call["workflow"]["tasks"]
    assert (task["title"], task["status_indicator"], task["content"]) == ("weather", "loading", "looking")
    pause.go_on()
    await asking


async def test_calls_of_a_clients_tools_are_answered_by_the_page_one_at_a_time(api: Api, alice: httpx.AsyncClient):
    api.model.then("Let me look. ", *calling("find", "a"), *calling("find", "b", what="it"), ASKS)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    tab = await Tab(alice, thread_id).load()
    assert [item["status"] for item in tab.items[2:]] == ["completed", "pending"], "a page is asked for one at a time"
    first = await tab.output({"found": ["é", 1]})
    assert (first.location, first.errors) == (None, [])
    assert [item["status"] for item in tab.items[2:]] == ["pending", "completed"]
    await tab.shows_what_is_read()
    api.model.then("Found.")
    last = await tab.output("here")
    assert last.shown == "Found."
    assert [(item["status"], item["output"]["status"]) for item in tab.items[2:4]] == [("completed", "completed")] * 2
    await tab.shows_what_is_read()
    assert [m.content for m in api.model.calls[-1].prompt.messages][-2:] == ["here", '{"found":["é",1]}']
    late = await tab.output("once more")
    assert [error.message for error in late.errors] == ["Nothing here handles this."]


async def test_pages_go_on_behind_answers_of_tools(api: Api, alice: httpx.AsyncClient):
    ids = [f"c{number}" for number in range(12)]
    api.model.then(*(piece for each in ids for piece in calling("find", each)), ASKS)
    thread_id = (await say(alice, tools=[FIND]))["thread_id"]
    api.model.then("Found.")
    await answer_calls(alice, thread_id, outputs=[{"call_id": each, "content": "x"} for each in ids])
    whole = await read(alice, thread_id)
    assert (len(whole), whole[-1]["content"][0]["text"]) == (14, "Found.")
    for limit in (1, 5, 13):
        for order in ("asc", "desc"):
            seen, after, has_more = [], None, True
            while has_more:
                page = await asked(alice, "items.list", thread_id=thread_id, limit=limit, order=order, after=after)
                assert len(page["data"]) == limit or not page["has_more"]
                seen += [item["id"] for item in page["data"]]
                after, has_more = page.get("after"), page["has_more"]
            expected = [item["id"] for item in whole]
            assert seen == (expected if order == "asc" else expected[::-1]), (limit, order)
