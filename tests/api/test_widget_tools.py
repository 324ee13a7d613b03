"""`POST /chatkit` where an answer calls tools: shown as they get on, decided on by buttons, answered by the page."""

import asyncio
from typing import Any

import httpx
import pytest

from chatorch.ports.tools import ToolOutput
from tests.api.test_turns import FIND, answer_calls, calls_in, say, with_tools
from tests.api.test_widget_parts import read
from tests.support.api import Api, Apis, newest_run, problem_of
from tests.support.chatkit_page import ITEM, Page
from tests.support.fakes import Pause
from tests.support.turns import ASKS, Handled, calling
from tests.support.widget import Answered, add, asked, create, send

PAY = {"needs_approval": True}
WAITS = "Needs your approval"


class Tab:
    """What a page shows of a thread that it has open."""

    def __init__(self, client: httpx.AsyncClient, thread_id: str) -> None:
        self.client, self.thread_id = client, thread_id
        self.page = Page()

    @classmethod
    async def asking(cls, client: httpx.AsyncClient) -> "Tab":
        answer = await create(client)
        tab = cls(client, answer.thread_id)
        tab.page.show(answer.events)
        return tab

    async def load(self) -> "Tab":
        thread = await asked(self.client, "threads.get_by_id", thread_id=self.thread_id)
        self.page = Page([ITEM.validate_python(item) for item in thread["items"]["data"]])
        return self

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.page.items

    def cards(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item["type"] == "widget"]

    def statuses(self) -> list[str]:
        return [card["widget"]["status"]["text"] for card in self.cards()]

    def button(self, label: str, nth: int = 0) -> dict[str, Any]:
        """What is sent where it is pressed."""
        card = self.cards()[nth]
        [row] = [child for child in card["widget"]["children"] if child["type"] == "Row"]
        [action] = [each["onClickAction"] for each in row["children"] if each["label"] == label]
        return {"item_id": card["id"], "action": {"type": action["type"], "payload": action["payload"]}}

    def buttons(self) -> int:
        return str(self.items).count("'type': 'Button'")

    async def send(self, press: dict[str, Any]) -> Answered:
        answer = Answered(await send(self.client, "threads.custom_action", thread_id=self.thread_id, **press))
        self.page.show(answer.events)
        return answer

    async def press(self, label: str, nth: int = 0) -> Answered:
        return await self.send(self.button(label, nth))

    async def output(self, result: Any) -> Answered:
        answer = Answered(
            await send(self.client, "threads.add_client_tool_output", thread_id=self.thread_id, result=result)
        )
        self.page.show(answer.events)
        return answer

    async def shows_what_is_read(self) -> None:
        assert self.items == await read(self.client, self.thread_id)


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


async def test_a_call_is_made_when_its_button_is_pressed_and_once(apis: Apis):
    pay = Handled("pay", "paid", about=PAY, progress=("counting",))
    api = await with_tools(apis, pay)
    alice, bob = await api.user("alice"), await api.user("bob")
    api.model.then("Shall I? ", *calling("pay", amount=5, to="\u202eeve"), ASKS)
    tab = await Tab.asking(alice)
    assert (tab.statuses(), tab.buttons(), pay.made) == ([WAITS], 2, [])
    assert "pay" in str(tab.cards())
    assert '"amount": 5' in str(tab.cards())
    assert "\u202e" not in str(tab.cards()), "nothing in it turns what the user sees around"
    await tab.shows_what_is_read()
    other = await Tab(alice, tab.thread_id).load()
    press = tab.button("Approve")
    problem_of(await send(bob, "threads.custom_action", thread_id=tab.thread_id, **press), 404, "not_found")
    api.model.then("Paid.")
    pressed = await tab.press("Approve")
    assert pressed.shown == "Paid."
    assert pressed.run_id == await newest_run(alice)
    assert (tab.statuses(), tab.buttons()) == (["Approved, done"], 0)
    assert kinds(tab.items) == ["user_message", "assistant_message", "widget", "assistant_message"]
    await tab.shows_what_is_read()
    for label in ("Approve", "Deny"):
        again = Tab(alice, tab.thread_id)
        again.page = Page([ITEM.validate_python(item) for item in other.items])
        assert (await again.press(label)).errors == []
        assert (again.statuses(), again.buttons()) == (["Approved, done"], 0)
    assert [arguments for arguments, _ in pay.made] == [{"amount": 5, "to": "\u202eeve"}]


async def test_a_call_that_is_denied_is_not_made(apis: Apis):
    pay = Handled("pay", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    api.model.then("As you like.")
    assert (await tab.press("Deny")).shown == "As you like."
    assert (tab.statuses(), tab.buttons(), pay.made) == (["Denied"], 0, [])
    await tab.shows_what_is_read()


async def test_decisions_on_several_calls_are_kept_until_the_last_one_is_there(apis: Apis):
    pay, send_it, weather = Handled("pay", "paid", about=PAY), Handled("send", "sent", about=PAY), Handled("weather")
    api = await with_tools(apis, pay, send_it, weather)
    alice = await api.user("alice")
    api.model.then(*calling("pay", "a"), *calling("weather", "b"), *calling("send", "c"), *calling("pay", "d"), ASKS)
    tab = await Tab.asking(alice)
    assert (tab.statuses(), tab.buttons(), len(weather.made)) == ([WAITS] * 3, 6, 1)
    await tab.shows_what_is_read()
    stale = tab.button("Deny")
    first = await tab.press("Approve")
    assert (first.location, first.errors) == (None, [])
    kept = "Approved, once the other calls are decided on"
    assert (tab.statuses(), tab.buttons()) == ([kept, WAITS, WAITS], 4)
    await tab.shows_what_is_read()
    reloaded = await Tab(alice, tab.thread_id).load()
    assert reloaded.items == tab.items
    await reloaded.send(stale)
    assert reloaded.statuses() == [kept, WAITS, WAITS], "the first press counts"
    await reloaded.press("Deny", 1)
    assert (len(pay.made), await calls_in(alice, tab.thread_id)) == (
        0, {"a": "pending", "b": "completed", "c": "pending", "d": "pending"},
    )  # fmt: skip
    tab = await tab.load()
    api.model.then("Done.")
    last = await tab.press("Deny", 2)
    assert last.shown == "Done."
    assert tab.statuses() == ["Approved, done", "Denied", "Denied"]
    assert (len(pay.made), len(send_it.made)) == (1, 0)
    await tab.shows_what_is_read()
    assert [item["type"] for item in (await asked(
        alice, "items.list", thread_id=tab.thread_id, order="asc", limit=50))["data"]] == kinds(tab.items)  # fmt: skip


async def test_of_two_last_decisions_at_once_neither_is_lost(apis: Apis):
    pay = Handled("pay", "paid", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay", "a"), *calling("pay", "b"), ASKS)
    tab = await Tab.asking(alice)
    api.model.then("Done.")
    presses = [tab.button("Approve", 0), tab.button("Approve", 1)]
    answers = await asyncio.gather(
        *(send(alice, "threads.custom_action", thread_id=tab.thread_id, **press) for press in presses)
    )
    assert "Done." in [Answered(answer).shown for answer in answers]
    assert (await tab.load()).statuses() == ["Approved, done"] * 2
    assert len(pay.made) == 2


async def test_a_decision_that_could_not_be_gone_on_with_is_asked_for_again(apis: Apis):
    pay, pause = Handled("pay", "paid", about=PAY), Pause()
    api = await with_tools(apis, pay, max_live_runs_per_user=1)
    alice = await api.user("alice")
    api.model.then(*calling("pay", "a"), *calling("pay", "b"), ASKS)
    tab = await Tab.asking(alice)
    await tab.press("Approve")
    api.model.then("Else", pause)
    other = asyncio.ensure_future(create(alice))
    await pause.reached()
    press = tab.button("Approve", 1)
    problem_of(await send(alice, "threads.custom_action", thread_id=tab.thread_id, **press), 429, "too_many_runs")
    assert (await tab.load()).buttons() == 2
    pause.go_on()
    await other
    api.model.then("Done.")
    assert (await tab.send(press)).shown == "Done."
    assert tab.statuses() == ["Approved, done"] * 2


async def test_what_is_decided_over_http_is_shown_decided(apis: Apis):
    pay, pause = Handled("pay", "paid", about=PAY), Pause()
    pay.waits = pause
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then("Shall I?", *calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    api.model.then("Paid.")
    yes = {"decisions": [{"call_id": "c1", "approve": True}]}
    answering = asyncio.ensure_future(answer_calls(alice, tab.thread_id, **yes))
    await pause.reached()
    loaded = await Tab(alice, tab.thread_id).load()
    assert (loaded.statuses(), loaded.buttons()) == (["Approved, running"], 0)
    pressing = asyncio.ensure_future(tab.press("Deny"))
    await asyncio.sleep(0)
    pause.go_on()
    assert (await answering).status_code == 200
    assert (await pressing).errors == []
    assert tab.statuses() == ["Approved, done"]
    await tab.shows_what_is_read()
    assert len(pay.made) == 1


async def test_a_message_instead_leaves_the_call_undone_and_says_so(apis: Apis):
    pay = Handled("pay", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    stale = tab.button("Approve")
    api.model.then("Fine.")
    await add(alice, tab.thread_id, "Never mind")
    assert (await tab.load()).statuses() == ["Not called"]
    assert tab.buttons() == 0
    assert (await tab.send(stale)).location is None
    assert (tab.statuses(), pay.made) == (["Not called"], [])


async def test_a_run_that_is_stopped_while_it_calls_says_that_nobody_knows(apis: Apis):
    pause = Pause()
    api = await with_tools(apis, Handled("pay", waits=pause, about=PAY))
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    pressing = asyncio.ensure_future(tab.press("Approve"))
    await pause.reached()
    await alice.post(f"/api/runs/{await newest_run(alice)}/cancel")
    await pressing
    assert tab.statuses() == ["Approved, and nobody knows how it went"]
    await tab.shows_what_is_read()


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


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (None, 422),
        ({"call_id": "c1"}, 422),
        ({"message_id": 5, "call_id": "c1"}, 422),
        ({"message_id": "{message}", "call_id": "c2"}, 422),
        ({"message_id": "{message}", "call_id": "c9"}, 404),
        ({"message_id": "msg_x", "call_id": "c1"}, 404),
        ({"message_id": "{message}.1", "call_id": "c1"}, 404),
    ],
)
async def test_a_wrong_press_says_so(apis: Apis, payload: Any, status: int):
    pay = Handled("pay", about=PAY)
    api = await with_tools(apis, pay, Handled("weather"))
    alice = await api.user("alice")
    api.model.then(*calling("pay"), *calling("weather", "c2"), ASKS)
    tab = await Tab.asking(alice)
    if isinstance(payload, dict) and isinstance(payload["call_id"], str) and "message_id" in payload:
        own = tab.button("Approve")["action"]["payload"]["message_id"]
        payload = {**payload, "message_id": payload["message_id"].replace("{message}", own)} if isinstance(
            payload["message_id"], str) else payload  # fmt: skip
    action = {"type": "chatorch.tool.approve", "payload": payload}
    for kind in ("threads.custom_action", "threads.sync_custom_action"):
        refused = await send(alice, kind, thread_id=tab.thread_id, action=action)
        assert refused.status_code == status, refused.text
    assert ((await tab.load()).buttons(), pay.made) == (2, [])


async def test_a_synchronous_press_shows_the_decision_and_goes_on(apis: Apis):
    pay = Handled("pay", "paid", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    api.model.then("Paid.")
    shown = await asked(alice, "threads.sync_custom_action", thread_id=tab.thread_id, **tab.button("Approve"))
    assert shown["updated_item"]["widget"]["status"]["text"] == "Approved, running"
    await alice.get(f"/api/runs/{await newest_run(alice)}/events")
    assert (await tab.load()).statuses() == ["Approved, done"]
    assert len(pay.made) == 1
