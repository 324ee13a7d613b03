"""Real servers, of the official package, in processes of their own: called, changed, hung, killed and started again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from chatorch.adapters.tools.mcp.servers import McpServer
from chatorch.adapters.tools.mcp.tools import McpTools
from chatorch.domain.model.tools import Tool
from chatorch.ports.tools import ToolError, ToolOutput, ToolProgress
from tests.support.eventually import eventually
from tests.support.mcp_tools import CONTEXT, HttpServer, kept, pieces, said, stdio_server, within

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 1.5


@pytest.fixture(scope="module")
def http() -> Iterator[HttpServer]:
    server = HttpServer()
    server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def tools(http: HttpServer) -> AsyncIterator[McpTools]:
    """Three servers: one over HTTP, the same one without the newest protocol, and one that is started here."""
    new = McpServer("new", url=http.url(), timeout_s=TIMEOUT_S)
    old = McpServer("old", url=http.url("/old"), timeout_s=TIMEOUT_S)
    async with kept(new, old, stdio_server(timeout_s=TIMEOUT_S)) as tools:
        yield tools


@pytest.fixture(params=["new", "old", "s"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_what_servers_list_is_offered_with_what_they_say_of_it(tools: McpTools, name: str):
    offered = {tool.name: tool for tool in tools.offered()}

    echo = offered[f"{name}__echo"]
    assert echo == Tool(echo.name, "Says it again.", echo.parameters, needs_approval=False, idempotent=True)
    assert echo.parameters["properties"]["text"]["type"] == "string"
    assert [offered[f"{name}__{tool}"].needs_approval for tool in ("wipe", "put", "hang")] == [True, False, True]
    assert [offered[f"{name}__{tool}"].idempotent for tool in ("wipe", "put", "hang")] == [False, True, False]


async def test_a_call_says_what_its_tool_said(tools: McpTools, name: str):
    assert await pieces(tools, f"{name}__echo", text="hällo") == [ToolOutput("hällo")]
    assert await said(tools, f"{name}__structured") == '{"degrees":21}'
    assert await pieces(tools, f"{name}__fail") == [ToolOutput("no such \ufffd file", is_error=True)]
    dotted = next(tool.name for tool in tools.offered() if tool.name.startswith(f"{name}__dotted"))
    assert await said(tools, dotted) == "by its own name"


async def test_a_call_carries_its_key(tools: McpTools, name: str):
    assert await said(tools, f"{name}__key") == CONTEXT.idempotency_key


async def test_what_is_no_text_is_a_note(tools: McpTools, name: str):
    assert (await said(tools, f"{name}__kinds")).split("\n") == [
        "first",
        "[image, image/png, 6 bytes]",
        "[audio, audio/wav, 3 bytes]",
        "the notes",
        "[resource, application/x, 6 bytes]",
        "[link to a resource, text/html, 7 bytes]",
    ]


async def test_progress_is_told_in_order_before_the_output(tools: McpTools, name: str):
    *progress, output = await pieces(tools, f"{name}__steps", count=5)

    assert output == ToolOutput("done")
    assert progress == [ToolProgress({"progress": step, "total": 5, "message": f"step {step}"}) for step in range(1, 6)]


async def test_progress_without_end_is_left_out_and_the_output_is_not(tools: McpTools):
    *progress, output = await pieces(tools, "old__steps", count=1500)

    assert output == ToolOutput("done")
    assert len(progress) <= 1000


async def test_calls_stand_beside_each_other(tools: McpTools, name: str):
    texts = [str(number) for number in range(30)]
    assert await asyncio.gather(*(said(tools, f"{name}__echo", text=text) for text in texts)) == texts


async def test_a_large_answer_fails_its_call_alone(tools: McpTools, name: str):
    large, echo = await asyncio.gather(
        said(tools, f"{name}__large", size=10_000_000), said(tools, f"{name}__echo", text="x"), return_exceptions=True
    )
    assert str(large) == "The tool said more than 1048576 bytes."
    assert echo == "x"


async def test_a_call_that_hangs_fails_in_time_and_the_server_is_told(tools: McpTools, name: str):
    before = int(await said(tools, f"{name}__cancelled"))
    hanging = asyncio.create_task(said(tools, f"{name}__hang"))
    async with within(TIMEOUT_S + 0.25):
        with pytest.raises(ToolError, match=r"did not answer within 1\.5 s"):
            await hanging
    assert await said(tools, f"{name}__echo", text="still there") == "still there"
    await eventually(lambda: _cancelled(tools, name, before))


async def test_a_call_that_is_given_up_is_given_up_at_the_server(tools: McpTools, name: str):
    before = int(await said(tools, f"{name}__cancelled"))
    call = asyncio.create_task(said(tools, f"{name}__hang"))
    await asyncio.sleep(0)
    await said(tools, f"{name}__echo", text="it has begun")
    call.cancel()
    async with within(0.1):
        with pytest.raises(asyncio.CancelledError):
            await call
    await eventually(lambda: _cancelled(tools, name, before))

    async with within(0.5), aclosing(tools.call(f"{name}__steps", {"count": 1000}, CONTEXT)) as steps:
        assert isinstance(await anext(steps), ToolProgress)


async def test_a_name_that_is_not_offered_is_an_error(tools: McpTools, name: str):
    for unknown in (f"{name}__nothing", "nobody__echo", "echo", ""):
        with pytest.raises(ToolError, match="There is no such tool"):
            await said(tools, unknown)


async def test_a_list_that_changes_is_read_again(tools: McpTools, name: str):
    await said(tools, f"{name}__grow")
    await eventually(lambda: _offers(tools, f"{name}__grown"))


async def test_a_server_that_says_much_on_stderr_goes_on(tools: McpTools):
    assert await said(tools, "s__chatter", lines=3000) == "said"


async def test_a_server_that_was_started_here_dies_and_is_started_again(tools: McpTools):
    async with within(1):
        died, hung = await asyncio.gather(said(tools, "s__die"), said(tools, "s__hang"), return_exceptions=True)
    assert str(died) == str(hung) == "The tool's server went away. Whether it carried the call out is unknown."
    assert await _offers(tools, "s__echo")
    await eventually(lambda: _says(tools, "s__echo"), within=15)


async def test_a_server_over_http_is_killed_and_comes_back_on_its_port(tools: McpTools, http: HttpServer):
    calls = [asyncio.create_task(said(tools, f"{name}__hang")) for name in ("new", "old")]
    await said(tools, "old__echo", text="they have begun")
    http.kill()
    async with within(1):
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {str(error) for error in ended} == {
        "The tool's server went away. Whether it carried the call out is unknown."
    }

    for name in ("new", "old"):
        assert await _offers(tools, f"{name}__echo"), "a server that is away keeps its tools"
        async with within(0.5):
            with pytest.raises(ToolError, match=r"not there at the moment|went away"):
                await said(tools, f"{name}__echo", text="away")

    http.start()
    for name in ("new", "old"):
        await eventually(lambda name=name: _says(tools, f"{name}__echo"), within=15)
    await eventually(lambda: _offers(tools, "new__grown", is_offered=False))


async def test_a_server_that_has_not_answered_yet_may_have_what_is_called_by_its_name():
    late = HttpServer()
    async with kept(McpServer("late", url=late.url()), is_listed=False) as tools:
        assert [tools.may_have(name) for name in ("late__wipe", "other__wipe", "late")] == [True, False, True]
        with pytest.raises(ToolError, match="not there at the moment"):
            await said(tools, "late__wipe")
        late.start()
        try:
            await eventually(lambda: _offers(tools, "late__wipe"), within=15)
            assert not tools.may_have("late__other"), "what it has is known"
        finally:
            late.kill()


async def _cancelled(tools: McpTools, name: str, before: int) -> bool:
    return int(await said(tools, f"{name}__cancelled")) > before


async def _offers(tools: McpTools, name: str, *, is_offered: bool = True) -> bool:
    return (name in {tool.name for tool in tools.offered()}) == is_offered


async def _says(tools: McpTools, name: str) -> bool:
    try:
        return await said(tools, name, text="back") == "back"
    except ToolError:
        return False
