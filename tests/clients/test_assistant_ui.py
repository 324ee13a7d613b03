"""assistant-ui over the AI SDK's door, in a page: its runtime, its own transport, and its own way to resume."""

import random
from typing import Any

import httpx
import pytest

from tests.clients.ai_sdk_page import HTTP_7, SETTLED, Browser, Client, said, send
from tests.clients.conftest import NewClient
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import ClientProcess
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.sockets import calling
from tests.support.upstream import Upstream, error, pause, status, text

POST = HTTP_7.asks
REGENERATE = {"do": "regenerate"}
RESUME = {"do": "resume"}
COMPLETE = ("complete", None)


@pytest.fixture(scope="module")
def pages(new_client: NewClient) -> ClientProcess:
    return new_client("assistant_ui.mjs")


@pytest.fixture
def client() -> Client:
    """That on which it stands."""
    return HTTP_7


def shown(page: dict[str, Any]) -> tuple[str, str | None]:
    """How its last message stands, and the error below it."""
    assert not page["running"]
    last = page["messages"][-1]["status"]
    return last["type"] if last["type"] == "complete" else last["reason"], last.get("error", {}).get("message")


def sees(what: str) -> dict[str, str]:
    return {"do": "shows", "text": what}


# -- an answer -----------------------------------------------------------------------------------------------------


async def test_a_conversation_and_an_answer_once_more(browser: Browser, server: Server):
    browser.play(text("Hello", ", world"))
    page = await browser.see(send(), SETTLED, send("And?"), SETTLED, REGENERATE, SETTLED, asItIs=True)
    assert said(page["messages"]) == ["Hi", "Hello, world", "And?", "Hello, world"]
    assert shown(page) == COMPLETE
    headers = {"Authorization": f"Bearer {server.tokens['alice']}"}
    async with httpx.AsyncClient(headers=headers, base_url=server.url) as client:
        thread = (await client.get("/api/threads")).json()["data"][0]
        stored = (await client.get(f"/api/threads/{thread['id']}/messages")).json()["data"]
    assert thread["client_ref"]
    assert [message["content"] for message in stored] == ["Hi", "Hello, world", "And?", "Hello, world"]


async def test_a_page_with_nothing_to_resume_is_ready(browser: Browser):
    browser.play(text("Hello"))
    page = await browser.see(RESUME, SETTLED, send(), SETTLED)
    assert (said(page["messages"]), shown(page)) == (["Hi", "Hello"], COMPLETE)
    page = await browser.see(RESUME, SETTLED, resume=True, messages=await browser.stored())
    assert (said(page["messages"]), shown(page)) == (["Hi", "Hello"], COMPLETE)


async def test_a_page_that_is_loaded_again_resumes_by_itself(browser: Browser, upstream: Upstream):
    name = browser._given["chat"]
    browser.play(text("one ", "two "), pause(name), text("three"))
    await browser.see(send(), sees("two"))  # and is closed
    again = browser.open(sees("three"), {"do": "over"}, SETTLED, resume=True, messages=await browser.stored())
    assert (await again.until("shows"))["text"].startswith("one")
    upstream.release(name)
    page = await again.value()
    assert (said(page["messages"]), shown(page)) == (["Hi", "one two three"], COMPLETE)
    assert said(page["messages"]) == said(await browser.stored())


async def test_a_second_tab_shows_the_same_and_is_refused_in_words_while_it_is_answered(
    browser: Browser, upstream: Upstream, line: LossyLine
):
    name = browser._given["chat"]
    browser.play(text("one "), pause(name), text("two"))
    first = browser.open(send(), sees("one"), SETTLED)
    await first.until("shows")
    second = browser.open({"do": "over"}, SETTLED, resume=True, messages=await browser.stored())
    await second.until("shows")
    third = await browser.see(send("Me too"), SETTLED, messages=await browser.stored(), url=line.url)
    assert shown(third) == ("error", "The thread has a live run.")
    assert third["error"]["statusCode"] == 409
    assert line.calls == [POST]
    upstream.release(name)
    for tab in (await first.value(), await second.value()):
        assert (said(tab["messages"]), shown(tab)) == (["Hi", "one two"], COMPLETE)


# -- a connection that breaks --------------------------------------------------------------------------------------


async def test_wherever_a_line_breaks_it_is_an_error_and_resuming_shows_the_whole_once(
    browser: Browser, line: LossyLine, upstream: Upstream
):
    chance = random.Random(12)
    words = [f"word{number} " for number in range(20)]
    for number in range(size(5, 100)):
        name, chat = f"assistant cut {number}", f"assistant cut {number}"
        browser.play(*(text(word) for word in words), pause(name), text("end"))
        anywhere = chance.randint(*HTTP_7.answer)
        at = chance.choice([anywhere, chance.choice(words).encode()])
        line.cut(at, call=POST, how=chance.choice(("fin", "rst")))
        steps = [send(), SETTLED, RESUME, sees(words[-1]), {"do": "tell", "word": "back"}, SETTLED]
        page = browser.open(*steps, url=line.url, chat=chat)
        await page.until("back")
        upstream.release(name)
        seen = await page.value()
        assert (said(seen["messages"]), shown(seen)) == (["Hi", "".join(words) + "end"], COMPLETE), at
        assert seen["finishes"][0]["isError"]


async def test_a_page_that_comes_back_too_late_loads_what_was_said(
    browser: Browser, line: LossyLine, upstream: Upstream
):
    name = browser._given["chat"]
    browser.play(text("one ", "two "), pause(name), text("three"))
    line.cut(b"two ", call=POST)
    late = [{"do": "tell", "word": "broken"}, {"do": "heard", "word": "late"}, RESUME, SETTLED, {"do": "load"}]
    page = browser.open(send(), SETTLED, *late, SETTLED, url=line.url)
    await page.until("broken")
    upstream.release(name)

    async def is_over() -> bool:
        return said(await browser.stored())[-1].endswith("three")

    await eventually(is_over)
    page.say("late")
    seen = await page.value()
    assert (said(seen["messages"]), shown(seen)) == (["Hi", "one two three"], COMPLETE)


async def test_the_only_worker_is_killed_between_two_pieces(
    pages: ClientProcess, new_server: NewServer, upstream: Upstream
):
    async with serving(await new_server(continue_within_s=0)) as server, lossy_line(server.port) as line:
        browser = Browser(pages, HTTP_7, line.url, server.tokens["alice"], upstream)
        browser.play(text("one ", "two "), pause("assistant killed"), text("three"))
        page = browser.open(send(), sees("two"), {"do": "tell", "word": "shown"}, SETTLED)
        await page.until("shown")
        await server.kill()
        seen = await page.value()
        assert (said(seen["messages"]), shown(seen)) == (["Hi", "one two "], ("error", "terminated"))
        await server.start()
        browser.play(text("Hello"))
        seen = await browser.see(REGENERATE, SETTLED, messages=await browser.stored())
        assert (said(seen["messages"]), shown(seen)) == (["Hi", "Hello"], COMPLETE)
        assert said(await browser.stored()) == ["Hi", "Hello"]


async def test_one_of_two_workers_is_killed_between_two_pieces(
    pages: ClientProcess, two_workers: TwoWorkers, upstream: Upstream
):
    async with two_workers(lease_s=2, continue_within_s=0) as (one, two):
        browser = Browser(pages, HTTP_7, one.server.url, one.token, upstream)
        browser.play(text("one ", "two "), pause("assistant of two"), text("three"))
        asking = browser.open(send(), sees("two"), {"do": "tell", "word": "shown"}, SETTLED)
        await asking.until("shown")
        there = two.server.url
        watching = browser.open({"do": "over"}, SETTLED, resume=True, url=there, messages=await browser.stored(there))
        await watching.until("shows")
        await one.server.kill()
        assert shown(await asking.value()) == ("error", "terminated")
        seen = await watching.value()
        assert said(seen["messages"]) == ["Hi", "one two "]
        reason, words = shown(seen)
        assert reason == "error"
        assert "interrupted" in words
        browser.play(text("Hello"))
        again = await browser.see(REGENERATE, SETTLED, url=there, messages=await browser.stored(there))
        assert said(again["messages"]) == ["Hi", "Hello"] == said(await browser.stored(there))


# -- stop ----------------------------------------------------------------------------------------------------------


async def test_who_cancels_leaves_and_who_stops_it_for_all_is_left_with_what_was_said(
    browser: Browser, upstream: Upstream
):
    name = browser._given["chat"]
    browser.play(text("one "), pause(name), text("two"))
    left = await browser.see(send(), sees("one"), {"do": "stop"}, SETTLED)
    assert (said(left["messages"]), shown(left)) == (["Hi", "one "], ("cancelled", None))
    watching = browser.open({"do": "over"}, SETTLED, resume=True, messages=await browser.stored())
    await watching.until("shows")
    await browser.see({"do": "end"})
    page = await watching.value()
    assert (said(page["messages"]), shown(page)) == (["Hi", "one "], COMPLETE)
    assert said(await browser.stored()) == ["Hi", "one "]


# -- what fails ----------------------------------------------------------------------------------------------------


async def test_a_provider_that_fails_is_shown_behind_what_was_said(browser: Browser, line: LossyLine):
    browser.play(text("one "), error("secret"))
    seen = await browser.see(send(), SETTLED, url=line.url)
    assert said(seen["messages"]) == ["Hi", "one "]
    assert shown(seen) == ("error", "The model's provider answered with an error.")
    browser.play(text("Hello"))
    seen = await browser.see(REGENERATE, SETTLED, messages=await browser.stored())
    assert said(seen["messages"]) == ["Hi", "Hello"] == said(await browser.stored())
    browser.play(status(401, body='{"error": {"message": "secret"}}'))
    seen = await browser.see(send("And?"), SETTLED, messages=seen["messages"], url=line.url)
    assert shown(seen) == ("error", "The model's provider refused the credentials; see OPENAI_API_KEY.")
    assert line.calls == [POST, POST]


async def test_what_is_refused_is_shown_in_words_and_asked_for_once(
    browser: Browser, pages: ClientProcess, few: Server, line: LossyLine, upstream: Upstream
):
    browser.play(text("one "), pause("assistant full"))
    seen = await browser.see(send(), SETTLED, token="x", url=line.url)
    assert shown(seen) == ("error", "The access token is missing, invalid or expired.")
    assert seen["error"]["statusCode"] == 401
    assert line.calls == [POST]
    async with lossy_line(few.port) as there, calling(few) as alice:
        held = await alice.say("Hi", model=browser._given["model"])
        await held.until(lambda stream: stream.text)
        full = Browser(pages, HTTP_7, there.url, few.tokens["alice"], upstream)
        full.play(text("Hello"))
        seen = await full.see(send(), SETTLED)
        assert shown(seen) == ("error", "Too many live runs at once; see CHATORCH_MAX_LIVE_RUNS_PER_USER.")
        assert (said(seen["messages"]), seen["error"]["statusCode"]) == (["Hi", ""], 429)
        assert there.calls == [POST]
        upstream.release("assistant full")
        await held.ended()
        seen = await full.see(send(), SETTLED)
        assert said(seen["messages"]) == ["Hi", "Hello"]
