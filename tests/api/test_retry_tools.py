"""Answering once more what ended badly after calls of tools were made: over each door from what was done."""

from typing import Any

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamUnavailable
from tests.api.test_ag_ui_tools import Page, texts
from tests.api.test_ai_sdk import send, shown, user
from tests.api.test_ai_sdk_tools import decided, goes_on
from tests.support.api import MODEL, Api, Apis, frames_of, newest_run, problem_of, said
from tests.support.turns import ASKS, Handled, calling, handled
from tests.support.widget import send as widget
from tests.support.widget_tab import Tab

DOWN = UpstreamUnavailable()


async def serving(apis: Apis, **about: Any) -> tuple[Api, httpx.AsyncClient, Handled]:
    pay = Handled("pay", "paid 10 EUR", about=about)
    api = await apis.start(swapped={"python_tools": handled(pay)})
    return api, await api.user("alice"), pay


def fails_after_it_paid(api: Api) -> None:
    api.model.then("Let me pay. ", *calling("pay"), ASKS)
    api.model.then("I have p", DOWN)


def told(api: Api) -> list[tuple[str, str]]:
    return [(m.role.value, m.content) for m in api.model.calls[-1].prompt.messages]


DONE = [("user", "Pay!"), ("assistant", "Let me pay. "), ("tool", "paid 10 EUR")]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_goes_on_from_the_calls_that_were_made(apis: Apis, stream: bool) -> None:
    api, alice, pay = await serving(apis)
    fails_after_it_paid(api)
    problem_of(await alice.post("/api/chat/protected", json=said("Pay!")), 503, "upstream_unavailable", "run_id")
    failed = await newest_run(alice)
    api.model.then("All paid.")
    answer = await alice.post(f"/api/runs/{failed}/retry", json={"stream": stream})
    assert answer.status_code == 200
    if stream:
        frames = frames_of(answer.text)
        assert "".join(f.data["text"] for f in frames if f.event == "message.delta") == "All paid."
        thread = frames[0].data["thread_id"]
    else:
        assert answer.json()["response"] == "All paid."
        thread = answer.json()["thread_id"]
    assert (len(pay.made), told(api)) == (1, DONE)
    _, first, second = (await alice.get(f"/api/threads/{thread}/messages")).json()["data"]
    assert (first["run_id"], first["status"], second["status"]) == (failed, "incomplete", "complete")
    assert [(p["type"], p.get("status")) for p in first["parts"]] == [
        ("text", None), ("tool_call", "completed"), ("tool_result", None), ("text", None)
    ]  # fmt: skip
    assert (first["parts"][2]["content"], second["content"]) == ("paid 10 EUR", "All paid.")


async def test_what_was_approved_is_made_once_and_stays_approved(apis: Apis) -> None:
    api, alice, pay = await serving(apis, needs_approval=True)
    api.model.then("Let me pay. ", *calling("pay"), ASKS)
    asking = (await alice.post("/api/chat/protected", json=said("Pay!"))).json()
    api.model.then(DOWN)
    outputs = f"/api/threads/{asking['thread_id']}/tool-outputs"
    decision = {"decisions": [{"call_id": "c1", "approve": True}]}
    failed = problem_of(await alice.post(outputs, json=decision), 503, "upstream_unavailable", "run_id")["run_id"]
    api.model.then("All paid.")
    again = (await alice.post(f"/api/runs/{failed}/retry")).json()
    assert (again["response"], len(pay.made), told(api)) == ("All paid.", 1, DONE)
    messages = (await alice.get(f"/api/threads/{asking['thread_id']}/messages")).json()["data"]
    assert [message.get("run_id") for message in messages] == [None, asking["run_id"], failed, again["run_id"]]
    assert messages[1]["parts"][1]["status"] == "completed"
    assert (await alice.post(outputs, json=decision)).json()["run_id"] == again["run_id"]
    assert len(pay.made) == 1


async def test_use_chat_has_one_message_of_both(apis: Apis) -> None:
    api, alice, pay = await serving(apis)
    fails_after_it_paid(api)
    broken = await send(alice, user("Pay!"))
    api.model.then("All paid.")
    message = await send(alice, user("Pay!"), trigger="regenerate-message", messageId=broken.id)
    assert (len(pay.made), told(api)) == (1, DONE)
    known = {"toolCallId": "c1", "input": {}, "providerExecuted": True}
    assert message.parts == [
        {"type": "step-start"},
        {"type": "text", "text": "Let me pay. ", "state": "done"},
        {"type": "dynamic-tool", "toolName": "pay", **known, "state": "output-available", "output": "paid 10 EUR"},
        {"type": "step-start"},
        {"type": "text", "text": "I have p", "state": "done"},
        {"type": "step-start"},
        {"type": "text", "text": "All paid.", "state": "done"},
    ]
    [_, stored] = await shown(alice)
    assert (stored["id"], stored["parts"]) == (message.id, message.parts)
    assert (stored["metadata"]["status"], message.id) == ("complete", broken.id)
    api.model.then("Anew.")
    await send(alice, user("Pay!"), trigger="regenerate-message", messageId=message.id)
    assert (told(api), [part.get("text") for part in (await shown(alice))[1]["parts"]]) == (DONE[:1], [None, "Anew."])


async def test_use_chat_shows_what_was_approved_and_made_before_it_failed(apis: Apis) -> None:
    api, alice, pay = await serving(apis, needs_approval=True)
    api.model.then("Let me pay. ", *calling("pay"), ASKS)
    asking = await send(alice, user("Hi"))
    api.model.then(DOWN)
    _, broken = await goes_on(alice, asking, c1=decided(True))
    api.model.then("All paid.")
    message = await send(alice, user("Hi"), trigger="regenerate-message", messageId=broken.id)
    assert (len(pay.made), told(api)[1:]) == (1, DONE[1:])
    [call] = [part for part in message.parts if "toolCallId" in part]
    assert (call["state"], call["output"], call["approval"]["approved"]) == ("output-available", "paid 10 EUR", True)
    [_, stored] = await shown(alice)
    assert stored["parts"] == message.parts
    assert stored["parts"][-1]["text"] == "All paid."
    assert (stored["id"], message.id, message.to_do) == (asking.id, asking.id, [])


async def test_an_ag_ui_page_that_asks_again_goes_on_too(apis: Apis) -> None:
    api, alice, pay = await serving(apis)
    page = Page(alice, tools=[])
    fails_after_it_paid(api)
    assert (await page.run()).ended is not None
    api.model.then("All paid.")
    await page.run()
    assert (len(pay.made), told(api)[1:]) == (1, DONE[1:])
    said_there = [("user", "Hi"), *DONE[1:], ("assistant", "I have p"), ("assistant", "All paid.")]
    assert texts(page.held) == said_there == texts(await page.reloaded())


async def test_chatkits_retry_goes_on_too_and_shows_the_call_when_it_is_loaded_again(apis: Apis) -> None:
    api, alice, pay = await serving(apis)
    fails_after_it_paid(api)
    tab = await Tab.asking(alice)
    api.model.then("All paid.")
    question = (await tab.load()).items[0]["id"]
    await widget(alice, "threads.retry_after_item", thread_id=tab.thread_id, item_id=question)
    assert (len(pay.made), told(api)[1:]) == (1, DONE[1:])
    shown_texts = [
        item["content"][0]["text"] for item in (await tab.load()).items if item["type"] == "assistant_message"
    ]
    assert shown_texts == ["Let me pay. ", "I have p", "All paid."]


async def test_a_request_for_a_response_that_is_repeated_takes_no_call_out_of_the_history(apis: Apis) -> None:
    api, alice, pay = await serving(apis)
    first = (await alice.post("/v1/responses", json={"model": MODEL, "input": "Hi"})).json()
    request = {"model": MODEL, "input": "Pay!", "previous_response_id": first["id"]}
    fails_after_it_paid(api)
    assert (await alice.post("/v1/responses", json=request)).status_code == 503
    api.model.then(DOWN)
    assert (await alice.post("/v1/responses", json=request)).status_code == 503
    api.model.then("All paid.")
    assert (await alice.post("/v1/responses", json=request)).status_code == 200
    assert len(pay.made) == 1
    assert told(api)[2:] == [*DONE, ("assistant", "I have p"), ("user", "Pay!")], "what failed without a call made room"
