"""AG-UI's door in turns with tools: what its client is asked to do, what it says to that, and what it shows then."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from chatorch.domain.model.upstream_errors import UpstreamTimeout
from tests.support.ag_ui import Client, Json
from tests.support.ag_ui_door import DOOR, asked, connect, refused_of, until_following
from tests.support.api import Api, Apis, done
from tests.support.fakes import Pause
from tests.support.turns import ASKS, Handled, calling, handled

LOOK = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
ONCE: Json = {"id": "u-Hi", "role": "user", "content": "Hi"}


@dataclass
class Page:
    """A page as the official client keeps it: its messages, its tools, and all of both in every request."""

    http: httpx.AsyncClient
    tools: list[Json] = field(default_factory=lambda: [LOOK])
    held: Client = field(default_factory=lambda: Client([dict(ONCE)]))
    runs: int = 0

    def request(self, **members: Any) -> Json:
        self.runs += 1
        usual = {"run": f"run-{self.runs}", "tools": self.tools, "messages": self.held.messages}
        return asked(**{**usual, **members})

    async def run(self, **members: Any) -> Client:
        answer = await self.http.post(DOOR, json=self.request(**members))
        assert answer.status_code == 200, answer.text
        return self.held.take(answer.content)

    async def refused(self, status: int, code: str, **members: Any) -> Json:
        return refused_of(await self.http.post(DOOR, json=self.request(**members)), status, code)

    def says(self, text: str) -> None:
        self.held.messages.append({"id": f"u-{text}", "role": "user", "content": text})

    def tells(self, call_id: str, content: Any, **members: Any) -> None:
        message = {"id": f"of-{call_id}", "role": "tool", "toolCallId": call_id, "content": content, **members}
        self.held.messages.append(message)

    async def reloaded(self) -> Client:
        """Another page on the thread: what it is told to hold."""
        return await connect(self.http, run=f"connect-{self.runs}")

    async def same_when_reloaded(self) -> Client:
        page = await self.reloaded()
        assert page.messages == self.held.messages
        return page


def resolved(*call_ids: str, **payload: Any) -> list[Json]:
    return [{"interruptId": each, "status": "resolved", "payload": payload} for each in call_ids]


def texts(page: Client) -> list[tuple[str, Any]]:
    return [(message["role"], message.get("content")) for message in page.messages]


@dataclass
class Served:
    api: Api
    page: Page
    find: Handled
    send: Handled


@pytest.fixture
async def served(apis: Apis) -> Served:
    find = Handled("find", "found it", progress=({"done": 1},))
    send = Handled("send", "sent", about={"needs_approval": True})
    api = await apis.start(swapped={"python_tools": handled(find, send)})
    return Served(api, Page(await api.user("alice")), find, send)


# -- ours ----------------------------------------------------------------------------------------------------------


async def test_a_call_of_ours_its_progress_its_result_and_what_is_said_then(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then("Wait. ", *calling("find", "c1", q="x"), ASKS)
    model.then("It is there.")
    await page.run()
    call_id = page.held.messages[1]["toolCalls"][0]["id"]
    assert texts(page.held) == [
        ("user", "Hi"), ("assistant", "Wait. "), ("tool", "found it"), ("assistant", "It is there."),
    ]  # fmt: skip
    assert page.held.messages[2]["toolCallId"] == call_id
    assert page.held.pending == [], "nobody is asked to carry out what was carried out"
    [progress] = page.held.told_beside.values()
    assert progress["value"]["toolCallId"] == call_id
    assert (progress["value"]["name"], progress["value"]["data"]) == ("find", {"done": 1})
    assert page.held.ended is not None
    assert "outcome" not in page.held.ended
    again = await page.same_when_reloaded()
    assert again.told_beside == page.held.told_beside
    model.then("Yes.")
    page.says("Sure?")
    await page.run()
    assert [m.content for m in model.calls[-1].prompt.messages if m.role == "tool"] == ["found it"], "once, by us"
    await page.same_when_reloaded()


async def test_who_connects_while_a_tool_runs_holds_the_same_in_the_end(served: Served) -> None:
    page, model = served.page, served.api.model
    served.find.waits = Pause()
    model.then("Wait. ", *calling("find"), ASKS)
    model.then("Done.")
    running = asyncio.ensure_future(page.http.post(DOOR, json=page.request()))
    await served.find.waits.reached()
    late = asyncio.ensure_future(page.reloaded())
    await until_following(served.api, 2)
    served.find.waits.go_on()
    page.held.take((await done(running)).content)
    assert (await late).messages == page.held.messages
    assert (await late).told_beside == page.held.told_beside


async def test_a_run_that_is_stopped_while_a_tool_runs_says_that_nobody_knows(served: Served) -> None:
    page = served.page
    served.find.waits = Pause()
    served.api.model.then(*calling("find"), ASKS)
    running = asyncio.ensure_future(page.http.post(DOOR, json=page.request()))
    await served.find.waits.reached()
    [thread] = (await page.http.get("/api/threads")).json()["data"]
    messages = (await page.http.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    await page.http.post(f"/api/runs/{messages[-1]['run_id']}/cancel")
    page.held.take((await done(running)).content)
    assert [m["content"] for m in page.held.messages if m["role"] == "tool"] == ['{"status":"unknown"}']
    await page.same_when_reloaded()


# -- the client's --------------------------------------------------------------------------------------------------


async def test_a_call_of_the_clients_is_carried_out_there_and_the_turn_goes_on(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then("Look: ", *calling("look", "c1", at=1), ASKS)
    await page.run()
    [call] = page.held.messages[1]["toolCalls"]
    assert page.held.ended is not None
    assert page.held.ended["outcome"] == {"type": "success", "pendingToolCallIds": [call["id"]]}
    assert [tool.name for tool in model.calls[0].prompt.tools] == ["find", "send", "look"]
    assert (await page.same_when_reloaded()).pending == [call["id"]]

    model.then("Blue.")
    page.tells(call["id"], "blue")
    await page.run()
    assert texts(page.held)[2:] == [("tool", "blue"), ("assistant", "Blue.")]
    assert [m.content for m in model.calls[-1].prompt.messages if m.role == "tool"] == ["blue"]
    assert (await page.same_when_reloaded()).pending == []


async def test_what_went_wrong_at_the_client_is_told_the_model(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look"), ASKS)
    await page.run()
    page.tells(page.held.pending[0], [{"type": "text", "text": "half"}], error="It is dark.")
    await page.run()
    assert model.calls[-1].prompt.messages[-1].content == "half\n\nIt is dark."
    other = await page.reloaded()
    assert [(m["id"], m["error"]) for m in other.messages if m["role"] == "tool"] == [
        (page.held.messages[2]["id"], "half\n\nIt is dark.")
    ]
    again = page.request(messages=other.messages[:3])
    assert Client(other.messages).take((await page.http.post(DOOR, json=again)).content).messages == other.messages
    assert len(model.calls) == 2


async def test_the_same_results_again_are_the_same_run(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look"), ASKS)
    await page.run()
    page.tells(page.held.pending[0], "blue")
    messages = list(page.held.messages)
    await page.run()
    for run in ("run-2", "another"):
        again = Client(messages).take(
            (await page.http.post(DOOR, json=page.request(run=run, messages=messages))).content
        )
        assert again.messages == page.held.messages
    assert len(model.calls) == 2
    other = [*messages[:-1], {**messages[-1], "content": "green"}]
    await page.refused(409, "tool_calls_answered", messages=other)
    await page.refused(422, "idempotency_key_reused", messages=other, run="run-2")


async def test_what_was_said_in_another_tab_meanwhile_is_shown_and_what_it_waits_for(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look", "c1"), ASKS)
    await page.run()
    page.tells(page.held.pending[0], "blue")
    lost = list(page.held.messages)
    model.then(*calling("look", "c2"), ASKS)
    await page.run()
    page.tells(page.held.pending[0], "green")
    await page.run()
    behind = Client(lost).take((await page.http.post(DOOR, json=page.request(messages=lost))).content)
    assert (behind.messages, behind.pending) == (page.held.messages, [])


async def test_a_run_that_failed_behind_results_is_asked_once_more(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look"), ASKS)
    await page.run()
    page.tells(page.held.pending[0], "blue")
    model.then(UpstreamTimeout())
    assert (await page.run()).ended is not None
    assert page.held.ended is not None
    assert page.held.ended["code"] == "upstream_timeout"
    again = page.request(run=f"run-{page.runs}")
    assert Client(page.held.messages).take((await page.http.post(DOOR, json=again)).content).ended is not None
    assert len(model.calls) == 2, "the same run is the same"
    await page.run()
    assert texts(await page.reloaded()) == [("user", "Hi"), ("assistant", "Hello world")]


async def test_all_calls_are_answered_at_once(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look", "c1"), *calling("look", "c2"), ASKS)
    await page.run()
    first, second = page.held.pending
    page.tells(first, "blue")
    assert second in (await page.refused(422, "tool_calls_open"))["message"]
    page.tells(first, "green")
    body = await page.refused(422, "invalid_request")
    assert body["errors"][0]["field"] == "messages.3.toolCallId"
    page.held.messages.pop()
    page.tells(second, "green")
    await page.run()
    assert [m.content for m in model.calls[-1].prompt.messages if m.role == "tool"] == ["blue", "green"]
    await page.same_when_reloaded()


async def test_a_new_message_instead_leaves_them_undone(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("look"), ASKS)
    await page.run()
    page.says("Never mind")
    await page.run()
    assert texts(page.held)[2:] == [
        ("tool", '{"status":"not_executed"}'), ("user", "Never mind"), ("assistant", "Hello world"),
    ]  # fmt: skip
    await page.same_when_reloaded()


async def test_results_are_taken_of_nobody_else_and_of_nothing_else(served: Served) -> None:
    page = served.page
    served.api.model.then(*calling("look"), ASKS)
    await page.run()
    bob = Page(await served.api.user("bob"), held=Client(page.held.messages))
    bob.tells(page.held.pending[0], "blue")
    await bob.refused(404, "not_found")
    page.tells("msg_unknown.1", "blue")
    await page.refused(404, "not_found")
    for wrong in ({"toolCallId": 7}, {"content": None}, {"content": [{"type": "image"}]}, {"error": 1}, {"id": ""}):
        page.held.messages[-1] = {
            "id": "t",
            "role": "tool",
            "toolCallId": page.held.pending[0],
            "content": "x",
            **wrong,
        }
        body = await page.refused(422, "invalid_request")
        assert body["errors"][0]["field"].startswith("messages.2.")


async def test_a_guest_is_offered_nothing_and_brings_nothing(apis: Apis) -> None:
    api = await apis.start(anonymous_chat=True, swapped={"python_tools": handled(Handled("find"))})
    for http in (api.anonymous(), await api.user("alice")):
        await Page(http, tools=[]).run()
    assert [[tool.name for tool in call.prompt.tools] for call in api.model.calls] == [[], ["find"]]
    page = Page(api.anonymous(), tools=[])
    await page.refused(422, "invalid_request", tools=[LOOK])
    await page.refused(422, "invalid_request", resume=resolved("msg_1.1", approved=True))
    page.tells("msg_1.1", "blue")
    await page.refused(422, "invalid_request")


# -- approvals -----------------------------------------------------------------------------------------------------


async def test_a_call_that_needs_approval_is_an_interrupt_and_is_made_once_it_has_it(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then("May I? ", *calling("send", "c1", to="you"), ASKS)
    await page.run()
    [interrupt] = page.held.interrupts
    [call] = page.held.messages[1]["toolCalls"]
    assert (interrupt["reason"], interrupt["toolCallId"]) == ("tool_call", call["id"])
    assert "send" in interrupt["message"]
    assert interrupt["responseSchema"]["required"] == ["approved"]
    assert served.send.made == []
    assert (await page.same_when_reloaded()).interrupts == [interrupt]

    model.then("It is sent.")
    resume = resolved(interrupt["id"], approved=True)
    await page.run(resume=resume)
    assert [arguments for arguments, _ in served.send.made] == [{"to": "you"}]
    assert texts(page.held)[1:] == [("assistant", "May I? "), ("tool", "sent"), ("assistant", "It is sent.")]
    assert page.held.messages[2]["toolCallId"] == call["id"]
    assert (await page.same_when_reloaded()).interrupts == []
    again = Client(page.held.messages).take((await page.http.post(DOOR, json=page.request(resume=resume))).content)
    assert again.messages == page.held.messages, "and once only"
    await page.refused(409, "tool_calls_answered", resume=resolved(interrupt["id"], approved=False))
    assert len(served.send.made) == 1


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        ({"status": "cancelled"}, "The user did not allow this call."),
        ({"status": "resolved", "payload": False}, "The user did not allow this call."),
        ({"status": "resolved", "payload": {"approved": False, "reason": "Too dear."}}, "Too dear."),
    ],
)
async def test_what_is_not_allowed_is_not_made_and_the_page_hears_so(served: Served, answer: Json, heard: str) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("send"), ASKS)
    await page.run()
    await page.run(resume=[{"interruptId": page.held.interrupts[0]["id"], **answer}])
    assert served.send.made == []
    assert page.held.messages[2]["metadata"]["chatorch"]["status"] == "denied"
    assert heard in model.calls[-1].prompt.messages[-1].content
    await page.same_when_reloaded()


async def test_results_and_decisions_go_together_and_ours_is_made_meanwhile(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("send", "c1"), *calling("look", "c2"), *calling("find", "c3"), ASKS)
    await page.run()
    call_ids = [call["id"] for message in page.held.messages for call in message.get("toolCalls", ())]
    assert [each["toolCallId"] for each in page.held.interrupts] == call_ids[:1]
    assert len(served.find.made) == 1
    resume = resolved(call_ids[0], approved=True)
    assert call_ids[1] in (await page.refused(422, "tool_calls_open", resume=resume))["message"]
    page.tells(call_ids[1], "blue")
    assert call_ids[0] in (await page.refused(422, "tool_calls_open"))["message"]
    await page.run(resume=resume)
    assert [m.content for m in model.calls[-1].prompt.messages if m.role == "tool"] == ["sent", "blue", "found it"]
    held = {message["id"]: message for message in page.held.messages}
    assert {message["id"]: message for message in (await page.reloaded()).messages} == held


async def test_each_is_answered_in_its_own_way(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("send", "c1"), *calling("look", "c2"), ASKS)
    await page.run()
    asks, mine = (call["id"] for message in page.held.messages for call in message.get("toolCalls", ()))
    for resume in (resolved(mine, approved=True), resolved(asks, asks, approved=True)):
        body = await page.refused(422, "invalid_request", resume=resume)
        assert body["errors"][0]["field"].startswith("resume.")
    for payload in (None, {}, {"approved": "yes"}, {"approved": True, "editedArgs": {}}, "yes"):
        resume = [{"interruptId": asks, "status": "resolved", "payload": payload}]
        body = await page.refused(422, "invalid_request", resume=resume)
        assert body["errors"][0]["field"] == "resume.0.payload"
    page.tells(asks, "I sent it myself")
    body = await page.refused(422, "invalid_request")
    assert body["errors"][0]["field"] == "messages.2.toolCallId"
    page.held.messages.pop()
    await page.refused(404, "not_found", resume=resolved("msg_unknown.1", approved=True))


async def test_something_new_instead_cancels_what_waits(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("send"), ASKS)
    await page.run()
    [interrupt] = page.held.interrupts
    page.says("Never mind")
    body = await page.refused(422, "invalid_request", resume=resolved(interrupt["id"], approved=True))
    assert body["errors"][0]["field"] == "resume.0.status"
    await page.run(resume=[{"interruptId": interrupt["id"], "status": "cancelled"}])
    assert served.send.made == []
    assert texts(page.held)[2:] == [
        ("tool", '{"status":"not_executed"}'), ("user", "Never mind"), ("assistant", "Hello world"),
    ]  # fmt: skip
    await page.same_when_reloaded()
    await page.refused(409, "tool_calls_answered", resume=resolved(interrupt["id"], approved=True),
                       messages=page.held.messages[:3])  # fmt: skip


async def test_who_connects_while_what_was_approved_is_made_holds_the_same_in_the_end(served: Served) -> None:
    page, model = served.page, served.api.model
    served.send.waits = Pause()
    model.then("May I? ", *calling("send"), ASKS)
    await page.run()
    resume = resolved(page.held.interrupts[0]["id"], approved=True)
    running = asyncio.ensure_future(page.http.post(DOOR, json=page.request(resume=resume)))
    await served.send.waits.reached()
    late = asyncio.ensure_future(page.reloaded())
    await until_following(served.api, 2)
    served.send.waits.go_on()
    page.held.take((await done(running)).content)
    assert (await late).messages == page.held.messages


async def test_what_was_approved_and_is_stopped_while_it_is_made_is_said_to_be_unknown(served: Served) -> None:
    page, model = served.page, served.api.model
    served.send.waits = Pause()
    model.then("May I? ", *calling("send"), ASKS)
    await page.run()
    resume = resolved(page.held.interrupts[0]["id"], approved=True)
    running = asyncio.ensure_future(page.http.post(DOOR, json=page.request(resume=resume)))
    await served.send.waits.reached()
    late = asyncio.ensure_future(page.reloaded())
    await until_following(served.api, 2)
    [thread] = (await page.http.get("/api/threads")).json()["data"]
    messages = (await page.http.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    await page.http.post(f"/api/runs/{messages[-1]['run_id']}/cancel")
    page.held.take((await done(running)).content)
    assert texts(page.held)[1:] == [("assistant", "May I? "), ("tool", '{"status":"unknown"}')]
    assert (await late).messages == page.held.messages
    assert (await page.same_when_reloaded()).interrupts == []


async def test_what_was_decided_over_http_is_shown(served: Served) -> None:
    page, model = served.page, served.api.model
    model.then(*calling("send", "c1"), *calling("look", "c2"), ASKS)
    await page.run()
    [thread] = (await page.http.get("/api/threads")).json()["data"]
    said = {"outputs": [{"call_id": "c2", "content": "blue"}], "decisions": [{"call_id": "c1", "approve": False}]}
    await page.http.post(f"/api/threads/{thread['id']}/tool-outputs", json=said)
    shown = await page.reloaded()
    calls = [call["id"] for call in shown.messages[1]["toolCalls"]]
    assert [(m["id"], m["toolCallId"]) for m in shown.messages[2:4]] == [(f"{call}.result", call) for call in calls]
    assert (shown.interrupts, shown.pending) == ([], [])
