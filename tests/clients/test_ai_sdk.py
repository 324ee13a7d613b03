"""`useChat` in a page, of `ai` 7 and 6, with both of their transports: as they are published, against real servers."""

from tests.clients.ai_sdk_page import HTTP_7, SETTLED, Browser, Client, said, send, without_metadata
from tests.e2e.conftest import NewServer
from tests.support.client_process import ClientProcess
from tests.support.server import serving
from tests.support.upstream import Upstream, chunk, delta, error, pause, text


async def test_an_answer_whole_is_shown_as_it_is_stored(browser: Browser):
    call = {"index": 0, "id": "call_1", "function": {"name": "find", "arguments": '{"a": [1, "é"]}'}}
    browser.play(
        chunk(delta(reasoning_content="Let me ")),
        chunk(delta(reasoning_content="see…")),
        text("It is ", "so."),
        chunk(delta(tool_calls=[call])),
        reason="tool_calls",
    )
    seen = await browser.see(send(), SETTLED)
    assert (seen["status"], seen.get("error")) == ("ready", None)
    assert said(seen["messages"]) == ["Hi", "It is so."]
    kinds = [part["type"] for part in seen["messages"][1]["parts"]]
    assert kinds == ["step-start", "reasoning", "text", "dynamic-tool"]
    assert without_metadata(seen["messages"]) == without_metadata(await browser.stored())
    [how] = seen["finishes"]
    assert (how["finishReason"], how["isError"], how["isAbort"]) == ("stop", False, False), "nobody is waited for"


async def test_a_page_that_is_loaded_again_shows_the_whole(browser: Browser, upstream: Upstream):
    browser.play(text("one ", "two "), pause(browser._given["chat"]), text("three"))
    first = browser.open(send(), {"do": "shows", "text": "two"})  # and is closed
    await first.value()
    again = browser.open({"do": "shows", "text": "three"}, {"do": "over"}, resume=True, messages=await browser.stored())
    assert (await again.until("shows"))["text"].startswith("one")
    upstream.release(browser._given["chat"])
    seen = await again.value()
    assert (said(seen["messages"]), seen["status"]) == (["Hi", "one two three"], "ready")
    assert without_metadata(seen["messages"]) == without_metadata(await browser.stored())


async def test_a_page_with_nothing_to_resume_is_ready(browser: Browser):
    assert (await browser.see({"do": "resume"}, SETTLED, resume=True))["status"] == "ready"
    browser.play(text("Hello"))
    await browser.see(send(), SETTLED)
    seen = await browser.see({"do": "resume"}, SETTLED, resume=True, messages=await browser.stored())
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "Hello"])


async def test_two_pages_show_the_same(browser: Browser, upstream: Upstream):
    name = browser._given["chat"]
    browser.play(text("one "), pause(name), text("two"))
    first = browser.open(send(), {"do": "shows", "text": "one"}, SETTLED)
    await first.until("shows")
    second = browser.open({"do": "over"}, resume=True, messages=await browser.stored())
    await second.until("shows")
    upstream.release(name)
    one, two = await first.value(), await second.value()
    assert without_metadata(one["messages"]) == without_metadata(two["messages"])
    assert said(two["messages"]) == ["Hi", "one two"]


async def test_who_stops_it_for_all_is_left_with_what_was_said(browser: Browser):
    browser.play(text("one "), pause(browser._given["chat"]), text("two"))
    page = browser.open(send(), {"do": "shows", "text": "one"}, {"do": "end"}, SETTLED)
    seen = await page.value()
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "one "])
    assert said(await browser.stored()) == ["Hi", "one "]


async def test_who_only_stops_listening_goes_on_at_once(browser: Browser):
    browser.play(text("one "), pause(browser._given["chat"]), text("two"))
    seen = await browser.see(
        send(), {"do": "shows", "text": "one"}, {"do": "stop"}, SETTLED, send("And?"), {"do": "stop"}
    )
    assert seen["finishes"][0]["isAbort"]
    browser.play(text("Hello"))
    seen = await browser.see(send("So?"), SETTLED, messages=await browser.stored())
    assert (seen["status"], said(seen["messages"])[-2:]) == ("ready", ["So?", "Hello"])


async def test_an_answer_is_regenerated_and_a_message_edited(browser: Browser):
    browser.play(text("Hello"))
    await browser.see(send("one"), SETTLED, send("two"), SETTLED)
    browser.play(text("Better"))
    seen = await browser.see({"do": "regenerate"}, SETTLED, messages=await browser.stored())
    assert said(seen["messages"]) == ["one", "Hello", "two", "Better"] == said(await browser.stored())
    first, answer, *_ = seen["messages"]
    seen = await browser.see({"do": "regenerate", "messageId": answer["id"]}, SETTLED, messages=seen["messages"])
    assert said(seen["messages"]) == ["one", "Better"] == said(await browser.stored())
    seen = await browser.see(send("uno", messageId=first["id"]), SETTLED, messages=seen["messages"])
    assert said(seen["messages"]) == ["uno", "Better"]
    assert without_metadata(seen["messages"]) == without_metadata(await browser.stored())


async def test_a_provider_that_fails_is_the_pages_error(browser: Browser):
    browser.play(text("one "), error())
    seen = await browser.see(send(), SETTLED)
    assert (seen["status"], said(seen["messages"])) == ("error", ["Hi", "one "])
    assert "provider" in seen["error"]["message"]
    browser.play(text("Hello"))
    seen = await browser.see({"do": "regenerate"}, SETTLED, messages=seen["messages"])
    assert said(seen["messages"]) == ["Hi", "Hello"] == said(await browser.stored())


async def test_what_is_refused_is_shown_in_words(
    browser: Browser, client: Client, new_server: NewServer, pages: ClientProcess, upstream: Upstream
):
    seen = [await browser.see(send(), SETTLED, token="x"), await browser.see(send(" "), SETTLED)]
    name = f"busy{client}"
    browser.play(pause(name))
    first = browser.open(send(), SETTLED)
    await upstream.until(browser._given["model"], "paused")
    seen.append(await browser.see(send(), SETTLED))
    async with serving(await new_server(**client.small)) as small:
        there = Browser(pages, client, small.url, small.tokens["alice"], upstream)
        there.play(pause(f"{name}full"))
        second = there.open(send(), SETTLED)
        await upstream.until(there._given["model"], "paused")
        seen.append(await there.see(send(), SETTLED, chat="another"))
        upstream.release(f"{name}full")
        await second.value()
    upstream.release(name)
    await first.value()
    assert [page["status"] for page in seen] == ["error"] * 4
    assert not any("{" in page["error"]["message"] for page in seen)
    if client == HTTP_7:
        assert [page["error"]["statusCode"] for page in seen] == [401, 422, 409, 429]
    assert [said(page["messages"]) for page in seen] == [["Hi"], [" "], ["Hi"], ["Hi"]]
