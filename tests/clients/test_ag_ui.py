"""AG-UI's own client: as it is, and with the lines of docs/clients.md for coming back."""

import pytest

from tests.clients.ag_ui_page import PIECES, POST, WHOLE, at, numbers, run_of, shown
from tests.e2e.conftest import NewServer
from tests.support.client_process import ClientProcess
from tests.support.lossy_line import LossyLine
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import ANSWER, Upstream, finish, pause, text, usage
from tests.support.upstream_parts import calls, cites, thinks

# -- an answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [True, False])
async def test_an_answer_whole_and_the_next_one(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str, plain: bool
):
    model = upstream.model([text(*PIECES), finish(), usage(9, 11)], [text("Again."), finish()])
    given = at(server, server.tokens["alice"], tab, model=model, plain=plain)
    call = agents.begin("ask", **given, text="Hi")
    assert shown(await call.value()) == [("user", "Hi"), ("assistant", WHOLE)]
    assert call.texts() == WHOLE
    assert call.told("started")[0]["version"] == "1.0"
    [end] = call.told("finished")
    assert (end["outcome"], end["pending"]) == ("success", [])
    assert (end["usage"][0]["inputTokens"], end["usage"][0]["outputTokens"]) == (9, 11)
    again = await agents.value("ask", **given, text="And?")
    assert shown(again)[2:] == [("user", "And?"), ("assistant", "Again.")]
    said = [(message["role"], message["content"]) for message in upstream.seen(model)[-1].body["messages"]]
    assert said == [("user", "Hi"), ("assistant", WHOLE), ("user", "And?")]


async def test_the_lines_of_the_document_do_what_they_say(
    agents: ClientProcess, new_server: NewServer, upstream: Upstream
):
    async with serving(await new_server(model=upstream.model(ANSWER))) as server:
        call = agents.begin("example", url=server.url, token=server.tokens["alice"], thread="documented")
        await call.value()
        assert call.texts() == "Hello, world"


async def test_thoughts_calls_and_sources_are_shown_and_a_page_that_comes_later_shows_the_same(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    script = [*thinks("Let me ", "see."), text("So "), cites("https://x.example", "X"), *calls("find", '{"a": ', "1}")]
    given = at(server, server.tokens["alice"], tab, model=upstream.model([*script, finish("tool_calls")]))
    call = agents.begin("ask", **given, text="Hi")
    page = await call.value()
    by_role = {message["role"]: message for message in page["messages"]}
    assert by_role["reasoning"]["content"] == "Let me see."
    assert by_role["assistant"]["toolCalls"][0]["function"] == {"name": "find", "arguments": '{"a": 1}'}
    assert by_role["tool"]["content"] == '{"status":"not_executed"}'
    assert call.told("finished")[0]["pending"] == []
    assert [told["value"]["url"] for told in call.told("beside")] == ["https://x.example"]
    other = agents.begin("connect", **{**given, "tab": f"{tab}-other"})
    assert (await other.value())["messages"] == page["messages"]
    assert [told["value"] for told in other.told("beside")] == [told["value"] for told in call.told("beside")]


async def test_a_page_on_a_thread_that_nobody_has_begun_shows_nothing(agents: ClientProcess, server: Server, tab: str):
    page = await agents.value("connect", **at(server, server.tokens["alice"], tab))
    assert page == {"messages": [], "interrupts": []}


# -- coming back ---------------------------------------------------------------------------------------------------


async def test_a_cut_at_any_byte_and_coming_back_shows_the_whole_answer_once(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream
):
    model = upstream.model([*thinks("hm"), text(*PIECES), finish(), usage()])
    lengths = list(range(150, 2600))
    for count in range(size(12, 100)):
        given = at(line, server.tokens["alice"], f"cut-{next(numbers)}", model=model)
        line.cut(lengths[count * len(lengths) // size(12, 100)], POST, how=("fin", "rst")[count % 2])
        call = agents.begin("ask", **given, text="Hi")
        await call.ended()
        assert WHOLE.startswith(call.texts())
        page = await agents.value("connect", **given)
        assert [message[1] for message in shown(page)] == ["Hi", "hm", WHOLE], count


async def test_cut_in_mid_answer_it_goes_on_live(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str
):
    model = upstream.model([text("one ", "two "), pause(tab), text("three"), finish()])
    given = at(line, server.tokens["alice"], tab, model=model)
    line.cut(b"two ", POST, how="rst")
    call = agents.begin("ask", **given, text="Hi")
    assert (await call.error())["message"] == "terminated"
    back = agents.begin("connect", **given)
    await back.until("snapshot")
    upstream.release(tab)
    page = await back.value()
    assert back.texts() == "three"
    assert shown(page) == [("user", "Hi"), ("assistant", "one two three")]


async def test_who_knows_of_no_connect_runs_again_and_goes_on_too(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str
):
    model = upstream.model([text("one ", "two "), pause(tab), text("three"), finish()])
    given = at(line, server.tokens["alice"], tab, model=model, plain=True)
    line.cut(b"two ", POST, how="rst")
    await agents.error("ask", **given, text="Hi")
    back = agents.begin("ask", **given)
    await back.until("snapshot")
    upstream.release(tab)
    assert shown(await back.value()) == [("user", "Hi"), ("assistant", "one two three")]
    assert len(upstream.seen(model)) == 1


async def test_who_leaves_and_says_something_else_is_answered(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()], ANSWER)
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    await call.until("text")
    call.say("leave")
    await call.value()
    page = await agents.value("ask", **given, text="Two")
    assert shown(page) == [("user", "Hi"), ("assistant", "one "), ("user", "Two"), ("assistant", "Hello, world")]
    upstream.release(tab)


async def test_who_leaves_does_not_stop_it_and_finds_it_again(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    await call.until("text")
    call.say("leave")
    await call.value()
    assert [told["code"] for told in call.told("error")] == ["abort"]
    upstream.release(tab)
    page = await agents.value("connect", **given)
    assert shown(page) == [("user", "Hi"), ("assistant", "one two")]


async def test_its_user_stops_it(agents: ClientProcess, server: Server, upstream: Upstream, tab: str):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    await call.until("text")
    assert await agents.value("stop", **given, runId=run_of(call)) == {"status": 202}
    assert shown(await call.value()) == [("user", "Hi"), ("assistant", "one ")]
    assert call.told("finished")[0]["outcome"] == "cancelled"
    upstream.release(tab)


async def test_two_tabs_of_one_thread_show_the_same(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    given = at(line, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi", id="u1")
    await call.until("text")
    second = {**given, "tab": f"{tab}-second"}
    busy = await agents.error("ask", **second, text="Me too")
    assert (busy["status"], busy["payload"]["code"], busy["payload"]["run_id"]) == (409, "thread_busy", run_of(call))
    assert line.calls == [POST] * 2
    other = agents.begin("connect", **second)
    await other.until("snapshot")
    upstream.release(tab)
    pages = [await call.value(), await other.value()]
    assert other.texts() == "two"
    assert pages[0]["messages"] == pages[1]["messages"]


@pytest.mark.parametrize("plain", [True, False])
async def test_a_tab_that_is_behind_is_told_so_and_loses_nothing(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str, plain: bool
):
    given = at(server, server.tokens["alice"], tab, model=upstream.model(ANSWER), plain=plain)
    await agents.value("ask", **given, text="One")
    other = {**given, "tab": f"{tab}-other", "plain": False}
    await agents.value("connect", **other)
    whole = await agents.value("ask", **other, text="Two")
    behind = await agents.error("ask", **given)
    assert (behind["status"], behind["payload"]["code"]) == (409, "newer_messages")
    assert "connect" in behind["payload"]["message"]
    assert shown(await agents.value("connect", **{**other, "tab": f"{tab}-third"})) == shown(whole)
    await agents.value("ask", **given, text="Three")
    asked = [text for role, text in shown(await agents.value("connect", **other)) if role == "user"]
    assert asked == ["One", "Two", "Three"]
