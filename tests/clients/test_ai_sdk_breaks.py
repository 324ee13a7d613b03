"""`useChat` where a connection breaks, a page comes back, or a worker dies: of `ai` 7 and 6, by both transports."""

import random

import pytest

from tests.clients.ai_sdk_page import CLIENTS, HTTP_7, SETTLED, Browser, Client, said, send, without_metadata
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call, ClientProcess
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import Upstream, pause, text


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_line_that_breaks_is_an_error_and_resuming_shows_the_whole_once(
    browser: Browser, client: Client, line: LossyLine, upstream: Upstream, how: str
):
    name = f"{browser._given['chat']}{how}"
    browser.play(text("one ", "two "), pause(name), text("three"))
    line.cut(b"two ", call=client.asks, how=how)
    back = [{"do": "resume"}, {"do": "shows", "text": "two"}, {"do": "tell", "word": "back"}]
    page = browser.open(send(), SETTLED, *back, SETTLED, url=line.url)
    await page.until("back")
    upstream.release(name)
    seen = await page.value()
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "one two three"])
    assert seen["finishes"][0]["isError"]
    assert without_metadata(seen["messages"]) == without_metadata(await browser.stored())


async def test_a_page_that_comes_back_too_late_loads_what_was_said(
    browser: Browser, client: Client, line: LossyLine, upstream: Upstream
):
    name = f"{browser._given['chat']}late"
    browser.play(text("one ", "two "), pause(name), text("three"))
    line.cut(b"two ", call=client.asks)
    late = [
        {"do": "tell", "word": "broken"},
        {"do": "heard", "word": "late"},
        {"do": "resume"},
        SETTLED,
        {"do": "load"},
    ]
    page = browser.open(send(), SETTLED, *late, SETTLED, url=line.url)
    await page.until("broken")
    upstream.release(name)

    async def is_over() -> bool:
        return said(await browser.stored())[-1].endswith("three")

    await eventually(is_over)
    page.say("late")
    seen = await page.value()
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "one two three"])


async def test_the_lines_of_the_documentation_load_send_come_back_and_stop(
    pages: ClientProcess, server: Server, line: LossyLine, upstream: Upstream
):
    browser = Browser(pages, HTTP_7, line.url, server.tokens["alice"], upstream)
    name = browser._given["chat"]
    browser.play(text("one ", "two "), pause(name), text("three"))
    line.cut(b"two ", call=HTTP_7.asks)
    late = [{"do": "tell", "word": "broken"}, {"do": "heard", "word": "late"}, {"do": "comeBack"}, SETTLED]
    page = browser.open(send(), SETTLED, *late, documented=True)
    await page.until("broken")
    upstream.release(name)

    async def is_over() -> bool:
        return said(await browser.stored())[-1].endswith("three")

    await eventually(is_over)
    page.say("late")
    seen = await page.value()
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "one two three"])
    browser.play(text("four "), pause(f"{name}4"), text("five"))
    steps = [send("And?"), {"do": "shows", "text": "four"}, {"do": "end"}, SETTLED]
    seen = await browser.see(*steps, documented=True, resume=True)
    assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "one two three", "And?", "four "])
    browser.play(text("Better"))
    seen = await browser.see({"do": "regenerate"}, SETTLED, documented=True)
    assert said(seen["messages"]) == ["Hi", "one two three", "And?", "Better"] == said(await browser.stored())


async def test_wherever_a_line_breaks_resuming_shows_the_whole_once(
    browser: Browser, client: Client, line: LossyLine, upstream: Upstream
):
    chance = random.Random(str(client))
    words = [f"word{number} " for number in range(20)]
    for number in range(size(5, 100)):
        name, chat = f"cut{client}.{number}", f"cut {client} {number}"
        browser.play(*(text(word) for word in words), pause(name), text("end"))
        anywhere = chance.randint(*client.answer)
        line.cut(chance.choice([anywhere, chance.choice(words).encode()]), call=client.asks)
        steps = [send(), SETTLED, {"do": "resume"}, {"do": "shows", "text": words[-1]}, {"do": "tell", "word": "back"}]
        page = browser.open(*steps, SETTLED, url=line.url, chat=chat)
        await page.until("back")
        upstream.release(name)
        seen = await page.value()
        assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "".join(words) + "end"])
        assert seen["finishes"][0]["isError"]


async def test_a_server_that_is_killed_leaves_what_was_said_and_an_error(
    pages: ClientProcess, new_server: NewServer, upstream: Upstream
):
    async with serving(await new_server(continue_within_s=0)) as server, lossy_line(server.port) as line:
        browsers = [Browser(pages, client, line.url, server.tokens["alice"], upstream) for client in CLIENTS]
        asking = [_asking(browser) for browser in browsers]
        for page in asking:
            await page.until("shown")
        await server.kill()
        seen = [await page.value() for page in asking]
        await server.start()
        for browser, page in zip(browsers, seen, strict=True):
            assert (page["status"], said(page["messages"])) == ("error", ["Hi", "one two "])
            assert said(await browser.stored())[0] == "Hi"
            browser.play(text("Hello"))
            again = await browser.see({"do": "regenerate"}, SETTLED, messages=page["messages"])
            assert (again["status"], said(again["messages"])) == ("ready", ["Hi", "Hello"])
            assert said(await browser.stored()) == ["Hi", "Hello"]


async def test_a_worker_that_is_killed_is_an_error_on_the_other_one_too(
    pages: ClientProcess, two_workers: TwoWorkers, upstream: Upstream
):
    async with two_workers(lease_s=2, continue_within_s=0) as (one, two):
        there = two.server.url
        browsers = [Browser(pages, client, one.server.url, one.token, upstream) for client in CLIENTS]
        asking = [_asking(browser) for browser in browsers]
        watching = []
        for browser, page in zip(browsers, asking, strict=True):
            await page.until("shown")
            stored = await browser.stored(there)
            watching.append(browser.open({"do": "over"}, SETTLED, resume=True, url=there, messages=stored))
            await watching[-1].until("shows")
        await one.server.kill()
        for browser, page, other in zip(browsers, asking, watching, strict=True):
            seen = await other.value()
            assert (seen["status"], said(seen["messages"])) == ("error", ["Hi", "one two "])
            assert "interrupted" in seen["error"]["message"]
            assert (await page.value())["status"] == "error"
            browser.play(text("Hello"))
            again = await browser.see({"do": "regenerate"}, SETTLED, url=there, messages=seen["messages"])
            assert said(again["messages"]) == ["Hi", "Hello"] == said(await browser.stored(there))


def _asking(browser: Browser) -> Call:
    """Its page says when it shows all that will come."""
    browser.play(text("one ", "two "), pause(f"killed {browser._given['chat']}"), text("three"))
    return browser.open(send(), {"do": "shows", "text": "two"}, {"do": "tell", "word": "shown"}, SETTLED)
