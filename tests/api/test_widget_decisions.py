"""`POST /chatkit` where an answer waits for its user: what a press of a button does, and once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_turns import answer_calls, calls_in, with_tools
from tests.support.api import Apis, newest_run, problem_of, running_api, sqlite_copy, watched
from tests.support.chatkit_page import ITEM, Page
from tests.support.fakes import Pause
from tests.support.turns import ASKS, Handled, calling, handled
from tests.support.widget import Answered, add, asked, create, send
from tests.support.widget_tab import Tab

PAY = {"needs_approval": True}
WAITS = "Needs your approval"


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
    assert [item["type"] for item in tab.items] == ["user_message", "assistant_message", "widget", "assistant_message"]
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
    await watched(api, 2)
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


async def test_a_press_that_comes_from_no_card_is_none(apis: Apis):
    pay = Handled("pay", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then("Shall I?", *calling("pay"), ASKS)
    tab = await Tab.asking(alice)
    press = {**tab.button("Approve"), "item_id": tab.items[0]["id"]}
    assert (await tab.send(press)).kinds == ["error"]
    assert ((await tab.load()).buttons(), pay.made) == (2, [])


async def test_what_was_decided_survives_a_restart(migrated_sqlite: Path, tmp_path: Path):
    pay = Handled("pay", "paid", about=PAY)
    again = {"database_url": sqlite_copy(migrated_sqlite, tmp_path), "swapped": {"python_tools": handled(pay)}}
    async with running_api(**again) as api:
        alice = await api.user("alice")
        api.model.then(*calling("pay", "a"), *calling("pay", "b"), ASKS)
        tab = await Tab.asking(alice)
        await tab.press("Deny")
    async with running_api(**again) as api:
        after = await Tab(await api.sign_in("alice"), tab.thread_id).load()
        assert after.items == tab.items
        api.model.then("Done.")
        await after.press("Approve", 1)
        assert after.statuses() == ["Denied", "Approved, done"]
        assert len(pay.made) == 1


async def test_a_question_is_asked_again_whose_calls_wait(apis: Apis):
    pay = Handled("pay", "paid", about=PAY)
    api = await with_tools(apis, pay)
    alice = await api.user("alice")
    api.model.then(*calling("pay", "a"), *calling("pay", "b"), ASKS)
    tab = await Tab.asking(alice)
    await tab.press("Approve")
    stale = tab.button("Approve", 1)
    api.model.then(*calling("pay", "a"), *calling("pay", "b"), ASKS)
    question = tab.items[0]["id"]
    Answered(await send(alice, "threads.retry_after_item", thread_id=tab.thread_id, item_id=question))
    assert (await tab.load()).statuses() == [WAITS] * 2
    refused = await send(alice, "threads.custom_action", thread_id=tab.thread_id, **stale)
    problem_of(refused, 404, "not_found")
    assert pay.made == []


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
