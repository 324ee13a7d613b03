"""AG-UI's own client: as it is, and with the lines of docs/clients.md for coming back."""

import itertools
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.clients.conftest import NewClient
from tests.e2e.conftest import NewServer, TwoWorkers
from tests.support.client_process import Call, ClientProcess
from tests.support.eventually import eventually
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server, serving
from tests.support.sizes import size
from tests.support.upstream import ANSWER, Upstream, finish, pause, status, text, usage
from tests.support.upstream_parts import calls, cites, thinks

POST = "POST /api/ag-ui"
PIECES = ("Each ", "word ", "of ", "this ", "is ", "a ", "piece: ", "é ", "漢字 ", "👩‍👩‍👧 ", "end.")
WHOLE = "".join(PIECES)
Json = dict[str, Any]

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def agents(new_client: NewClient) -> ClientProcess:
    return new_client("ag_ui.mjs")


@pytest.fixture
def tab() -> str:
    """A page of its own, on a thread of its own."""
    return f"tab-{next(numbers)}"


def at(place: Server | LossyLine, token: str, tab: str, **more: Any) -> Json:
    return {"url": place.url, "token": token, "tab": tab, "thread": f"thread-of-{tab}", **more}


def shown(value: Json) -> list[tuple[str, Any]]:
    """What the page holds in the end."""
    return [(message["role"], message.get("content")) for message in value["messages"]]


def run_of(call: Call) -> str:
    return str(call.told("started")[-1]["ours"]["run_id"])


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
    assert await agents.value("connect", **at(server, server.tokens["alice"], tab)) == {"messages": []}


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
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi", id="u1")
    await call.until("text")
    second = {**given, "tab": f"{tab}-second"}
    busy = await agents.error("ask", **second, text="Me too")
    assert (busy["status"], busy["payload"]["code"], busy["payload"]["run_id"]) == (409, "thread_busy", run_of(call))
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


# -- what fails ----------------------------------------------------------------------------------------------------


async def test_a_failing_provider_is_an_error_of_the_run_and_asking_again_answers_the_same_message(
    agents: ClientProcess, server: Server, upstream: Upstream, tab: str
):
    model = upstream.model([status(400)], ANSWER)
    given = at(server, server.tokens["alice"], tab, model=model)
    call = agents.begin("ask", **given, text="Hi")
    await call.value()
    [told] = call.told("error")
    assert told["code"].startswith("upstream_")
    assert told["message"]
    assert shown(await agents.value("ask", **given)) == [("user", "Hi"), ("assistant", "Hello, world")]
    assert shown(await agents.value("connect", **given)) == [("user", "Hi"), ("assistant", "Hello, world")]


async def test_the_only_worker_is_killed_between_two_pieces(
    agents: ClientProcess, new_server: NewServer, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    async with serving(await new_server(checkpoint_s=0.2)) as server, lossy_line(server.port) as line:
        given = at(line, server.tokens["alice"], tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        await _saved(server, run_of(call))
        await server.kill()
        assert (await call.error())["message"] == "terminated"
        await server.start()
        upstream.release(tab)
        page = await agents.value("connect", **given)
        assert shown(page) == [("user", "Hi"), ("assistant", "one ")]
        answered = await agents.value("ask", **given)
        assert shown(answered)[0] == ("user", "Hi")
        assert shown(await agents.value("connect", **given)) == [("user", "Hi"), ("assistant", "one two")]


async def test_one_of_two_workers_is_killed_between_two_pieces(
    agents: ClientProcess, two_workers: TwoWorkers, upstream: Upstream, tab: str
):
    model = upstream.model([text("one "), pause(tab), text("two"), finish()])
    async with two_workers(lease_s=1, checkpoint_s=0.2) as (one, two):
        given = at(one.server, one.token, tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        await _saved(one.server, run_of(call))
        await one.server.kill()
        assert (await call.error())["message"] == "terminated"
        back = agents.begin("connect", **{**given, "url": two.server.url})
        page = await back.value()
        upstream.release(tab)
        assert [told["code"] for told in back.told("error")] == ["run_interrupted"]
        assert shown(page) == [("user", "Hi"), ("assistant", "one ")]


async def _saved(server: Server, run_id: str) -> None:
    """Until all is stored that a run has said: two checkpoints have begun and ended."""

    def checkpoints() -> int:
        with closing(sqlite3.connect(server.folder / "chat.db")) as store:
            [(count,)] = store.execute("SELECT heartbeat FROM runs WHERE id = ?", [run_id])
        return int(count)

    before = checkpoints()

    async def two_more() -> bool:
        return checkpoints() >= before + 2

    await eventually(two_more)


async def test_each_refusal_is_an_error_with_our_detail_and_asked_for_once(
    agents: ClientProcess, server: Server, line: LossyLine, upstream: Upstream, tab: str
):
    model = upstream.model(ANSWER)
    given = at(line, server.tokens["alice"], tab, model=model)
    unknown = await agents.error("ask", **{**given, "tab": f"{tab}-out", "token": "not.a.token"}, text="Hi")
    assert (unknown["status"], unknown["payload"]["code"]) == (401, "invalid_token")
    tools = [{"name": "look", "description": "", "parameters": {}}]
    refused = await agents.error("ask", **{**given, "tab": f"{tab}-tools"}, text="Hi", parameters={"tools": tools})
    assert (refused["status"], refused["payload"]["errors"][0]["field"]) == (422, "tools")
    foreign = await agents.error("ask", **{**given, "tab": f"{tab}-thr", "thread": "thr_unknown"}, text="Hi")
    assert (foreign["status"], foreign["payload"]["code"]) == (404, "not_found")
    assert line.calls == [POST] * 3


async def test_too_many_at_once_are_a_429(agents: ClientProcess, new_server: NewServer, upstream: Upstream, tab: str):
    model = upstream.model([text("one "), pause(tab), finish()])
    server = await new_server()
    server.settings["CHATORCH_MAX_LIVE_RUNS_PER_USER"] = "1"
    async with serving(server):
        given = at(server, server.tokens["alice"], tab, model=model)
        call = agents.begin("ask", **given, text="Hi")
        await call.until("text")
        other = {**given, "tab": f"{tab}-other", "thread": f"other-{tab}"}
        refused = await agents.error("ask", **other, text="Hi")
        assert (refused["status"], refused["payload"]["code"]) == (429, "too_many_runs")
        upstream.release(tab)
        await call.value()
