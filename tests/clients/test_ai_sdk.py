"""`useChat` in a page, of `ai` 7 and 6, with both of their transports: as they are published, against real servers."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.clients.conftest import NewClient
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call, ClientProcess
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import Step, Upstream, chunk, delta, done, error, finish, pause, text, usage

_numbers = itertools.count(1)
SETTLED = {"do": "settled"}


@pytest.fixture(scope="module")
def pages(new_client: NewClient) -> ClientProcess:
    return new_client("ai_sdk.mjs")


@dataclass(frozen=True)
class Client:
    version: int
    over: str = "http"

    @property
    def asks(self) -> str:
        """How its call begins."""
        return "POST /api/ai-sdk" if self.over == "http" else "GET /ws/ai-sdk"

    @property
    def answer(self) -> tuple[int, int]:
        """Between which bytes there is one to the message: a socket's handshake is answered before it is sent."""
        return (1, 400) if self.over == "http" else (500, 900)

    @property
    def small(self) -> dict[str, int]:
        """The settings of a server that has room for one answer at a time."""
        return {"max_followers_per_user": 1} if self.over == "http" else {"max_live_runs_per_user": 1}

    def __str__(self) -> str:
        return f"{self.version} {self.over}"


HTTP_7 = Client(7)
BY_SOCKET = Client(7, "ws")


@pytest.fixture(params=[HTTP_7, Client(6), BY_SOCKET, Client(7, "ws, token in frames")], ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


class Browser:
    """Pages of one chat of Alice's; each is opened by what its user does in it."""

    def __init__(self, pages: ClientProcess, client: Client, url: str, token: str, upstream: Upstream) -> None:
        self._pages = pages
        known = {"version": client.version, "over": client.over}
        self._given = {**known, "url": url, "token": token, "chat": f"chat/{next(_numbers)}"}
        self._upstream = upstream

    def play(self, *script: Step, reason: str = "stop") -> None:
        """Ends well, where the script does not end it."""
        self._given["model"] = self._upstream.model((*script, finish(reason), usage(), done()))

    def open(self, *steps: dict[str, Any], **given: Any) -> Call:
        return self._pages.begin("chat", **{**self._given, **given}, steps=steps)

    async def see(self, *steps: dict[str, Any], **given: Any) -> dict[str, Any]:
        seen: dict[str, Any] = await self.open(*steps, **given).value()
        return seen

    async def stored(self, url: str | None = None) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._given['token']}"}
        path = f"{url or self._given['url']}/api/ai-sdk/{self._given['chat'].replace('/', '%2F')}/messages"
        async with httpx.AsyncClient(headers=headers) as client:
            messages: list[dict[str, Any]] = (await client.get(path)).raise_for_status().json()["data"]
        return messages


@pytest.fixture
def browser(pages: ClientProcess, client: Client, server: Server, upstream: Upstream) -> Browser:
    return Browser(pages, client, server.url, server.tokens["alice"], upstream)


def send(text: str = "Hi", **members: Any) -> dict[str, Any]:
    return {"do": "send", "text": text, **members}


def said(messages: list[dict[str, Any]]) -> list[str]:
    return ["".join(p["text"] for p in message["parts"] if p["type"] == "text") for message in messages]


def without_metadata(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    told = [{name: value for name, value in message.items() if name != "metadata"} for message in messages]
    for message in told:
        message["parts"] = [
            part if message["role"] == "assistant" else {"type": part["type"], "text": part["text"]}
            for part in message["parts"]
        ]
    return told


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
    assert (how["finishReason"], how["isError"], how["isAbort"]) == ("tool-calls", False, False)


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


async def test_a_server_that_is_killed_leaves_what_was_said_and_an_error(
    pages: ClientProcess, client: Client, new_server: NewServer, upstream: Upstream
):
    name = f"killed{client}"
    async with serving(await new_server()) as server, lossy_line(server.port) as line:
        browser = Browser(pages, client, line.url, server.tokens["alice"], upstream)
        browser.play(text("one ", "two "), pause(name), text("three"))
        page = browser.open(send(), {"do": "shows", "text": "two"}, {"do": "tell", "word": "shown"}, SETTLED)
        await page.until("shown")
        await server.kill()
        seen = await page.value()
        assert (seen["status"], said(seen["messages"])) == ("error", ["Hi", "one two "])
        await server.start()
        assert said(await browser.stored())[0] == "Hi"
        browser.play(text("Hello"))
        seen = await browser.see({"do": "regenerate"}, SETTLED, messages=seen["messages"])
        assert (seen["status"], said(seen["messages"])) == ("ready", ["Hi", "Hello"])
        assert said(await browser.stored()) == ["Hi", "Hello"]


async def test_a_worker_that_is_killed_is_an_error_on_the_other_one_too(
    pages: ClientProcess, client: Client, two_workers: TwoWorkers, upstream: Upstream
):
    async with two_workers(lease_s=2) as (one, two):
        browser = Browser(pages, client, one.server.url, one.token, upstream)
        browser.play(text("one ", "two "), pause(f"of two {client}"), text("three"))
        asking = browser.open(send(), {"do": "shows", "text": "two"}, {"do": "tell", "word": "shown"}, SETTLED)
        await asking.until("shown")
        there = two.server.url
        watching = browser.open({"do": "over"}, SETTLED, resume=True, url=there, messages=await browser.stored(there))
        await watching.until("shows")
        await one.server.kill()
        seen = await watching.value()
        assert (seen["status"], said(seen["messages"])) == ("error", ["Hi", "one two "])
        assert "interrupted" in seen["error"]["message"]
        assert (await asking.value())["status"] == "error"
        browser.play(text("Hello"))
        again = await browser.see({"do": "regenerate"}, SETTLED, url=there, messages=seen["messages"])
        assert said(again["messages"]) == ["Hi", "Hello"] == said(await browser.stored(there))
