"""Turns with tools in a page with `useChat`, of `ai` 7 and 6, with both of their transports: as they are published."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.ai_sdk_page import HTTP_7, SETTLED, Browser, Client, said, send, without_metadata
from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.client_process import ClientProcess
from tests.support.server import Server
from tests.support.upstream import Step, Upstream, chunk, delta, done, finish, pause, text, usage
from tests.support.upstream_parts import calls

CLIENTS = (HTTP_7, Client(6), Client(7, "ws"))
SHOP = """
from chatorch.tools import tool

@tool(idempotent=True)
def in_stock(item: str) -> dict[str, int]:
    yield {"looked": 1}
    yield {"looked": 2}
    return {"count": len(item)}

@tool(needs_approval=True)
def order(item: str) -> str:
    return f"Ordered {item}."

TOOLS = [in_stock, order]
"""
WHERE = {"type": "function", "function": {"name": "where", "parameters": {"type": "object", "properties": {}}}}
OWN = {"tools": [WHERE], "outputs": {"where": {"at": "Rome"}}}


@pytest.fixture(scope="module")
def server(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the functions of an installed package."""
    folder: Path = tmp_path_factory.mktemp("shop")
    (folder / "shop_tools.py").write_text(SHOP)
    installed = folder / "shop_tools-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-tools\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[chatorch.tools]\nshop = shop_tools:TOOLS\n")
    shop = server_in(folder)
    shop.settings["PYTHONPATH"] = str(folder)
    shop.from_scratch = True
    asyncio.run(sign_up(shop, "alice"))
    asyncio.run(shop.start())
    yield shop
    asyncio.run(shop.stop())


@pytest.fixture(params=CLIENTS, ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


@pytest.fixture
def browser(pages: ClientProcess, client: Client, server: Server, upstream: Upstream) -> Browser:
    return Browser(pages, client, server.url, server.tokens["alice"], upstream)


def says(browser: Browser, *answers: tuple[list[Step], str]) -> None:
    """What the model says each time that it is asked, and how it ends."""
    scripts = [(*steps, finish(reason), usage(), done()) for steps, reason in answers]
    browser._given["model"] = browser._upstream.model(*scripts)


def asking(*steps: Step) -> tuple[list[Step], str]:
    return list(steps), "tool_calls"


def answering(*steps: Step) -> tuple[list[Step], str]:
    return list(steps), "stop"


def decide(approved: bool, **more: Any) -> dict[str, Any]:
    return {"do": "decide", "approved": approved, **more}


def called(state: str) -> dict[str, str]:
    return {"do": "called", "state": state}


def shows(words: str) -> dict[str, str]:
    return {"do": "shows", "text": words}


def states(page: dict[str, Any]) -> list[str]:
    return [part["state"] for part in page["messages"][1]["parts"] if "toolCallId" in part]


async def is_stored(browser: Browser, page: dict[str, Any]) -> None:
    assert (page["status"], page.get("error")) == ("ready", None)
    assert without_metadata(page["messages"]) == without_metadata(await browser.stored())


async def test_a_tool_of_ours_is_shown_with_its_progress_and_not_the_pages_to_carry_out(browser: Browser):
    says(browser, asking(text("Well. "), *calls("in_stock", '{"item":', ' "tea"}')), answering(text("Three.")))
    page = await browser.see(send(), SETTLED, outputs={})
    await is_stored(browser, page)
    kinds = ["step-start", "text", "dynamic-tool", "data-in_stock", "step-start", "text"]
    assert [part["type"] for part in page["messages"][1]["parts"]] == kinds
    assert page["messages"][1]["parts"][2]["output"] == {"count": 3}
    assert page["messages"][1]["parts"][3]["data"] == {"looked": 2}
    assert (page["carriedOut"], len(page["finishes"])) == ([], 1)


async def test_a_tool_of_the_pages_is_carried_out_there_and_it_goes_on_by_itself(browser: Browser):
    says(browser, asking(text("Hm. "), *calls("where", "{}")), answering(text("Rome it is.")))
    page = await browser.see(send(), shows("Rome it is."), SETTLED, **OWN)
    await is_stored(browser, page)
    assert (page["carriedOut"], states(page)) == (["call_1"], ["output-available"])
    assert said(page["messages"]) == ["Hi", "Hm. Rome it is."]


async def test_a_tool_of_the_pages_may_fail(browser: Browser):
    says(browser, asking(*calls("where", "{}")), answering(text("Somewhere.")))
    page = await browser.see(send(), shows("Somewhere."), SETTLED, **{**OWN, "outputs": {"where": {"error": "No."}}})
    await is_stored(browser, page)
    assert states(page) == ["output-error"]


@pytest.mark.parametrize(("approved", "state"), [(True, "output-available"), (False, "output-denied")])
async def test_a_decision_in_a_page_goes_on_by_itself(browser: Browser, client: Client, approved: bool, state: str):
    says(browser, asking(*calls("order", '{"item": "tea"}')), answering(text("So be it.")))
    steps = (
        send(),
        called("approval-requested"),
        SETTLED,
        decide(approved, reason="My own."),
        shows("So be it."),
        SETTLED,
    )
    page = await browser.see(*steps, outputs={})
    [part] = [part for part in page["messages"][1]["parts"] if "toolCallId" in part]
    if approved:  # why something was allowed is not kept
        del part["approval"]["reason"]
    await is_stored(browser, page)
    assert (states(page), page["carriedOut"]) == ([state], [])


async def test_a_page_that_is_loaded_again_asks_and_decides(browser: Browser):
    says(browser, asking(*calls("order", '{"item": "tea"}')), answering(text("Done.")))
    await browser.see(send(), SETTLED, outputs={})
    again = {"messages": await browser.stored(), "outputs": {}, "resume": True}
    page = await browser.see(called("approval-requested"), decide(True), shows("Done."), SETTLED, **again)
    await is_stored(browser, page)
    assert said(page["messages"]) == ["Hi", "Done."]


async def test_both_at_once_wait_for_each_other(browser: Browser):
    where = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "where", "arguments": "{}"}}
    both = [*calls("order", '{"item": "tea"}'), chunk(delta(tool_calls=[where]))]
    says(browser, asking(*both), answering(text("Both.")))
    steps = (send(), called("output-available"), SETTLED, called("approval-requested"), decide(True), shows("Both."))
    page = await browser.see(*steps, SETTLED, **OWN)
    await is_stored(browser, page)
    assert states(page) == ["output-available"] * 2


async def test_a_second_page_that_comes_in_a_later_run_shows_the_same(browser: Browser, upstream: Upstream):
    name = browser._given["chat"]
    says(
        browser,
        asking(text("One. "), *calls("where", "{}")),
        asking(*calls("in_stock", '{"item": "tea"}', ident="call_9")),
        answering(text("Two. "), pause(name), text("Three.")),
    )
    first = browser.open(send(), shows("Two."), {"do": "tell", "word": "there"}, shows("Three."), SETTLED, **OWN)
    await first.until("there")
    there = (shows("Two."), {"do": "tell", "word": "there"}, {"do": "over"})
    second = browser.open(*there, resume=True, messages=await browser.stored(), **OWN)
    await second.until("there")
    upstream.release(name)
    one, two = await first.value(), await second.value()
    await is_stored(browser, one)
    assert without_metadata(one["messages"]) == without_metadata(two["messages"])
    assert (said(two["messages"]), two["carriedOut"]) == (["Hi", "One. Two. Three."], [])


async def test_an_answer_of_several_runs_once_more_is_the_whole_of_it(browser: Browser):
    says(browser, asking(*calls("where", "{}")), answering(text("Rome.")), answering(text("Paris.")))
    steps = (send(), shows("Rome."), SETTLED, {"do": "regenerate"}, shows("Paris."), SETTLED)
    page = await browser.see(*steps, **OWN)
    await is_stored(browser, page)
    assert said(page["messages"]) == ["Hi", "Paris."]
