"""AG-UI's own client in turns with tools: ours, its own, and those that need approval."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.ag_ui_page import POST, at, numbers, shown
from tests.e2e.conftest import ServerIn
from tests.support.accounts import sign_up
from tests.support.client_process import ClientProcess
from tests.support.lossy_line import LossyLine, lossy_line
from tests.support.server import Server
from tests.support.sizes import size
from tests.support.upstream import Upstream, finish, text, usage
from tests.support.upstream_parts import calls, thinks

SOURCE = '''
import asyncio, pathlib
from chatorch.tools import tool

async def find(q: str):
    """Finds."""
    yield {"looked at": q}
    while q and not pathlib.Path(q).exists():
        await asyncio.sleep(0.01)
    yield {"looked at": "all"}

@tool(needs_approval=True)
def send(to: str) -> str:
    """Sends."""
    return f"sent to {to}"
'''
ASKS = [finish("tool_calls"), usage()]
WELL = [text("Well."), finish(), usage()]


@pytest.fixture(scope="module")
def tooled(server_in: ServerIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a package installed that has tools."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "some_tools.py").write_text(SOURCE)
    info = folder / "some_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-tools\nVersion: 1.0\n")
    listed = "".join(f"{name} = some_tools:{name}\n" for name in ("find", "send"))
    (info / "entry_points.txt").write_text(f"[chatorch.tools]\n{listed}")
    server = server_in(tmp_path_factory.mktemp("tooled"))
    server.settings["PYTHONPATH"] = str(folder)
    server.from_scratch = True
    asyncio.run(sign_up(server, "alice"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def other(given: dict[str, Any]) -> dict[str, Any]:
    """Another page on the same thread."""
    return {**given, "tab": f"{given['tab']}-{next(numbers)}", "plain": False}


def resume(page: Any, **payload: Any) -> dict[str, Any]:
    return {
        "resume": [{"interruptId": each["id"], "status": "resolved", "payload": payload} for each in page["interrupts"]]
    }


async def same(agents: ClientProcess, given: dict[str, Any], page: Any) -> Any:
    """What a page shows that comes now, which is the same."""
    loaded = await agents.value("connect", **other(given))
    assert loaded["messages"] == page["messages"]
    assert loaded["interrupts"] == page["interrupts"]
    return loaded


@pytest.mark.parametrize("plain", [True, False])
async def test_a_tool_of_the_servers(agents: ClientProcess, tooled: Server, upstream: Upstream, tab: str, plain: bool):
    asks = [*thinks("hm"), text("Wait. "), *calls("find", '{"q": ', '""}'), *ASKS]
    given = at(tooled, tooled.tokens["alice"], tab, model=upstream.model(asks, WELL, WELL), plain=plain)
    call = agents.begin("ask", **given, text="Hi")
    page = await call.value()
    said = [("user", "Hi"), ("reasoning", "hm"), ("assistant", "Wait. "), ("tool", call.told("result")[0]["content"])]
    assert shown(page) == [*said, ("assistant", "Well.")]
    assert [told["name"] for told in call.told("call")] == ["find"]
    assert [told["value"]["toolCallId"] for told in call.told("beside")] == [call.told("call")[0]["id"]] * 2
    [end] = call.told("finished")
    assert (end["outcome"], end["pending"]) == ("success", [])
    await same(agents, given, page)
    page = await agents.value("ask", **given, text="And?")
    assert shown(page)[-2:] == [("user", "And?"), ("assistant", "Well.")]
    await same(agents, given, page)


@pytest.mark.parametrize("plain", [True, False])
async def test_tools_of_the_pages_own(agents: ClientProcess, tooled: Server, upstream: Upstream, tab: str, plain: bool):
    first = [text("Look: "), *calls("look", '{"a": 1}', ident="c1"), *ASKS]
    then = [*calls("find", '{"q": ""}', ident="c2"), *ASKS]
    again = [*calls("point", "{}", ident="c3"), *ASKS]
    model = upstream.model(first, then, again, WELL)
    given = at(tooled, tooled.tokens["alice"], tab, model=model, plain=plain)
    call = agents.begin("work", **given, text="Hi", says={"look": "blue", "point": "there"})
    page = await call.value()
    assert [len(told["pending"]) for told in call.told("finished")] == [1, 1, 0]
    assert [content for role, content in shown(page) if role == "tool"][::2] == ["blue", "there"]
    assert shown(page)[-1] == ("assistant", "Well.")
    told = [message for message in upstream.seen(model)[-1].body["messages"] if message["role"] == "tool"]
    assert [message["content"] for message in told][::2] == ["blue", "there"]
    await same(agents, given, page)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("approved", [True, False])
async def test_a_call_that_needs_approval(
    agents: ClientProcess, tooled: Server, upstream: Upstream, tab: str, plain: bool, approved: bool
):
    asks = [text("May I? "), *calls("send", '{"to": "you"}'), *ASKS]
    given = at(tooled, tooled.tokens["alice"], tab, model=upstream.model(asks, WELL), plain=plain)
    call = agents.begin("ask", **given, text="Hi")
    page = await call.value()
    assert call.told("finished")[0]["outcome"] == "interrupt"
    [interrupt] = page["interrupts"]
    assert (interrupt["reason"], interrupt["toolCallId"]) == ("tool_call", call.told("call")[0]["id"])
    given = given if plain else other(given)  # the page may have been loaded anew meanwhile
    page = page if plain else await agents.value("connect", **given)
    page = await agents.value("ask", **given, parameters=resume(page, approved=approved))
    result = "sent to you" if approved else "The user did not allow this call."
    assert shown(page) == [("user", "Hi"), ("assistant", "May I? "), ("tool", result), ("assistant", "Well.")]
    assert page["interrupts"] == []
    await same(agents, given, page)


@pytest.mark.parametrize("plain", [True, False])
async def test_results_and_decisions_in_one_request_and_a_new_message_instead(
    agents: ClientProcess, tooled: Server, upstream: Upstream, tab: str, plain: bool
):
    both = [*calls("look", "{}", ident="c1"), finish("tool_calls"), usage()]
    asks = [*calls("send", '{"to": "you"}', ident="c2"), *ASKS]
    model = upstream.model(both, asks, WELL)
    tools = [{"name": "look", "description": "Looks.", "parameters": {}}]
    given = at(tooled, tooled.tokens["alice"], tab, model=model, plain=plain)
    call = agents.begin("ask", **given, text="Hi", parameters={"tools": tools})
    await call.value()
    [pending] = call.told("finished")[0]["pending"]
    page = await agents.value("ask", **given, results=[{"toolCallId": pending, "content": "blue"}])
    [interrupt] = page["interrupts"]
    left = {"resume": [{"interruptId": interrupt["id"], "status": "cancelled"}]}
    page = await agents.value("ask", **given, text="Never mind", parameters=left)
    said = [("tool", "blue"), ("assistant", None), ("tool", '{"status":"not_executed"}')]
    assert shown(page)[2:] == [*said, ("user", "Never mind"), ("assistant", "Well.")]
    await same(agents, given, page)


async def test_a_page_that_comes_while_a_tool_runs_holds_the_same_in_the_end(
    agents: ClientProcess, tooled: Server, upstream: Upstream, tab: str, tmp_path: Any
):
    done = tmp_path / "done"
    asks = [text("Wait. "), *calls("find", f'{{"q": "{done}"}}'), *ASKS]
    given = at(tooled, tooled.tokens["alice"], tab, model=upstream.model(asks, WELL))
    call = agents.begin("ask", **given, text="Hi")
    await call.until("beside")
    late = agents.begin("connect", **other(given))
    await late.until("beside")
    done.touch()
    page = await call.value()
    assert (await late.value())["messages"] == page["messages"]
    assert [told["value"] for told in late.told("beside")] == [told["value"] for told in call.told("beside")]
    await same(agents, given, page)


async def test_cut_at_any_byte_of_a_turn_and_coming_back_shows_all_of_it_once(
    agents: ClientProcess, tooled: Server, upstream: Upstream
):
    asks = [
        *thinks("hm"),
        text("Wait. "),
        *calls("find", '{"q": ""}', ident="c1"),
        *calls("look", "{}", ident="c2"),
        *ASKS,
    ]
    tools = [{"name": "look", "description": "Looks.", "parameters": {}}]
    lengths = list(range(150, 3400))
    async with lossy_line(tooled.port) as line:
        for count in range(size(6, 100)):
            await _cut(
                agents, line, upstream.model(asks, WELL), tools, lengths[count * len(lengths) // size(6, 100)], tooled
            )


async def _cut(
    agents: ClientProcess, line: LossyLine, model: str, tools: list[Any], after: int, tooled: Server
) -> None:
    """The first run, and then the second."""
    given = at(line, tooled.tokens["alice"], f"cut-tools-{next(numbers)}", model=model)
    line.cut(after, POST, how="rst")
    await agents.begin("ask", **given, text="Hi", parameters={"tools": tools}).ended()
    call = agents.begin("connect", **given)
    page = await call.value()
    assert [role for role, _ in shown(page)] == ["user", "reasoning", "assistant", "tool"], after
    [pending] = call.told("finished")[0]["pending"]
    line.cut(after // 3, POST, how="rst")
    result = {"toolCallId": pending, "content": "blue"}
    await agents.begin("ask", **given, results=[result]).ended()
    again = await agents.value("connect", **given)
    assert [content for role, content in shown(again) if role != "tool"] == ["Hi", "hm", "Wait. ", "Well."], after
    await same(agents, given, again)
    assert [content for role, content in shown(again) if role == "tool"][-1:] == ["blue"], after
