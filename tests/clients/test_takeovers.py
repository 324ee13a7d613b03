"""What each client shows whose answer is begun anew, because its worker was killed and another one carries it on."""

import httpx
import pytest

from chatorch.domain.model.run import EPOCH_SPAN
from tests.clients.ai_sdk_page import SETTLED, Browser, Client, said, send
from tests.clients.conftest import NewClient
from tests.e2e.conftest import TwoWorkers
from tests.support.client_process import ClientProcess
from tests.support.upstream import Upstream, done, finish, hang, text, usage
from tests.support.upstream_parts import calls, thinks

GOES_ON = {"lease_s": 1, "checkpoint_s": 0.2, "continue_within_s": 300}
ANEW = ([text("one ", "two "), hang()], [text("uno ", "dos ", "tres"), finish(), usage(), done()])


def play(upstream: Upstream) -> str:
    return upstream.model(*ANEW)


async def test_a_page_of_use_chat_on_another_worker_shows_the_new_answer(
    pages: ClientProcess, client: Client, two_workers: TwoWorkers, upstream: Upstream
):
    """`ai` 6 can take nothing back: it is told so, and shows the new one when it asks for it."""
    async with two_workers(**GOES_ON) as (one, two):
        browser = Browser(pages, client, one.server.url, one.token, upstream)
        browser._given["model"] = play(upstream)
        asking = browser.open(send(), {"do": "shows", "text": "two"}, {"do": "tell", "word": "shown"}, SETTLED)
        await asking.until("shown")
        there = two.server.url
        watching = browser.open({"do": "over"}, SETTLED, resume=True, url=there, messages=await browser.stored(there))
        await watching.until("shows")
        await one.server.kill()
        seen = await watching.value()
        expected = ("ready", ["Hi", "uno dos tres"]) if client.version == 7 else ("error", ["Hi", "one two "])
        assert (seen["status"], said(seen["messages"])) == expected
        assert (await asking.value())["status"] == "error"
        back = await browser.see({"do": "resume"}, SETTLED, {"do": "load"}, SETTLED, url=there)
        assert said(back["messages"]) == ["Hi", "uno dos tres"]


async def test_an_agent_that_is_connected_to_another_worker_shows_the_new_answer(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    agents = new_client("ag_ui.mjs")
    async with two_workers(**GOES_ON) as (one, two):
        given = {"tab": "anew", "thread": "anew", "token": one.token, "model": play(upstream), "url": one.server.url}
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        watching = agents.begin("connect", **{**given, "tab": "other", "url": two.server.url})
        await watching.until("snapshot")
        await one.server.kill()
        page = await watching.value()
        assert [message["content"] for message in page["messages"]] == ["Hi", "uno dos tres"]
        assert watching.told("finished")
        assert (await call.error())["message"] == "terminated"


async def test_an_agent_in_a_turn_with_tools_keeps_what_was_done_and_shows_no_thought_of_the_answer_before(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    agents = new_client("ag_ui.mjs")
    tools = [{"name": "look", "description": "Looks.", "parameters": {}}]
    asks = [text("Look: "), *calls("look", "{}"), finish("tool_calls"), usage(), done()]
    before, anew = [*thinks("old"), text("one "), hang()], [text("uno "), finish(), usage(), done()]
    async with two_workers(**GOES_ON) as (one, two):
        model = upstream.model(asks, before, anew)
        given = {"tab": "tools", "thread": "tools", "token": one.token, "model": model, "url": one.server.url}
        call = agents.begin("ask", **given, text="Hi", parameters={"tools": tools})
        await call.value()
        [pending] = call.told("finished")[0]["pending"]
        call = agents.begin("ask", **given, results=[{"toolCallId": pending, "content": "blue"}])
        await call.until("text")
        watching = agents.begin("connect", **{**given, "tab": "tools-other", "url": two.server.url})
        await watching.until("snapshot")
        await one.server.kill()
        page = await watching.value()
        said = [("user", "Hi"), ("assistant", "Look: "), ("tool", "blue"), ("assistant", "uno ")]
        assert [(message["role"], message["content"]) for message in page["messages"]] == said
        assert (await call.error())["message"] == "terminated"
        back = await agents.value("connect", **{**given, "url": two.server.url})
        assert [(message["role"], message["content"]) for message in back["messages"]] == said


async def test_the_same_key_leads_to_the_new_answer_over_chat_completions(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    python = new_client("openai_python.py")
    async with two_workers(**GOES_ON) as (one, two):
        members = {"extra_headers": {"Idempotency-Key": "anew"}}
        given = {"token": one.token, "model": play(upstream), "members": members}
        call = python.begin("stream", **given, url=one.server.url)
        await call.until("text")
        await one.server.kill()
        assert (await call.error())["type"] == "APIConnectionError"
        again = python.begin("stream", **given, url=two.server.url)
        if (await again.ended())["told"] == "raised":  # it came before the new answer had begun, and saw that begin
            again = python.begin("stream", **given, url=two.server.url)
        await again.value()
        assert again.texts() == "uno dos tres"


async def test_a_stream_of_chat_completions_on_another_worker_says_that_it_cannot_go_on_as_it_began(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    python = new_client("openai_python.py")
    async with two_workers(**GOES_ON) as (one, two):
        members = {"extra_headers": {"Idempotency-Key": "anew"}}
        given = {"token": one.token, "model": play(upstream), "members": members}
        call = python.begin("stream", **given, url=one.server.url)
        await call.until("text")
        watching = python.begin("stream", **given, url=two.server.url)
        await watching.until("text")
        await one.server.kill()
        failed = await watching.error()
        assert (failed["type"], failed["message"]) == (
            "APIError",
            "The answer is begun anew elsewhere, and not as it was.",
        )
        [named] = watching.told("headers")
        headers = {"Authorization": f"Bearer {one.token}"}
        async with httpx.AsyncClient(base_url=two.server.url, headers=headers) as alice:
            run = (await alice.get(f"/api/runs/{named['run']}")).json()
        assert (run["status"], run["text"]) == ("completed", "uno dos tres")


async def test_a_stream_of_responses_on_another_worker_is_told_the_new_answer(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream
):
    package = new_client("openai_responses.py")
    async with two_workers(**GOES_ON) as (one, two):
        call = package.begin("watch", model=play(upstream), token=one.token, url=one.server.url, waits="come back")
        await call.until("text")
        response = call.told("response")[0]["id"]
        watching = package.begin("events", token=one.token, url=two.server.url, id=response)
        gathering = package.begin("accumulate", token=one.token, url=two.server.url, id=response, after=0)
        await watching.until("text")
        await gathering.until("text")
        await one.server.kill()
        await watching.value()
        told = [each["event"] for each in watching.told("event")]
        anew = [event for event in told if event["sequence_number"] >= EPOCH_SPAN]
        assert [event["type"] for event in anew][:2] == ["response.created", "response.in_progress"]
        assert anew == told[-len(anew) :]
        assert "".join(event.get("delta", "") for event in anew) == "uno dos tres"
        # What the package puts together by itself has no way to begin anew: asked once more, it is whole.
        assert (await gathering.error())["type"] == "RuntimeError"
        again = {"token": one.token, "url": two.server.url, "id": response}
        for after in (0, told[0]["sequence_number"] + 3):
            assert (await package.value("accumulate", **again, after=after))["text"] == "uno dos tres"


@pytest.mark.parametrize("file", ["openai_responses.py", "openai_responses.mjs"])
async def test_a_stream_of_responses_goes_on_with_the_new_answer(
    new_client: NewClient, two_workers: TwoWorkers, upstream: Upstream, file: str
):
    package = new_client(file)
    async with two_workers(**GOES_ON) as (one, two):
        model = play(upstream)
        call = package.begin("watch", model=model, token=one.token, url=one.server.url, waits="come back")
        await call.until("text")
        headers = {"Authorization": f"Bearer {one.token}"}
        async with httpx.AsyncClient(base_url=two.server.url, headers=headers) as alice:
            [thread] = (await alice.get("/api/threads")).json()["data"]
            await one.server.kill()
            await call.until("broken")
            [_, answer] = (await alice.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
            response = "resp_" + answer["run_id"].removeprefix("run_")
            events = package.begin("events", token=one.token, url=two.server.url, id=response, after=4)
            await events.value()
        told = [each["event"] for each in events.told("event")]
        assert told[0]["type"] == "response.created"
        assert told[-1]["type"] == "response.completed"
        assert told[-1]["response"]["output"][0]["content"][0]["text"] == "uno dos tres"
        numbers = [event["sequence_number"] for event in told]
        assert numbers == list(range(numbers[0], numbers[0] + len(told)))
        assert numbers[0] > 1000
