"""What every source of tools keeps to. Each brings the same tools: `echo`, `steps`, `fail` and `hang`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from chatorch.domain.model.facts import require_storable
from chatorch.domain.model.tools import MAX_NAME_CHARS, CarriedOutBy
from chatorch.ports.tools import ToolError, ToolOutput, ToolProgress, Tools
from tests.support.mcp_tools import CONTEXT, kept, stdio_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def mcp_tools() -> AsyncIterator[Tools]:
    async with kept(stdio_server()) as tools:
        yield tools


SOURCES: dict[str, Callable[[], AbstractAsyncContextManager[Tools]]] = {"mcp": mcp_tools}
"""A source of tools is one line here."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SOURCES)
async def tools(request: pytest.FixtureRequest) -> AsyncIterator[Tools]:
    async with SOURCES[request.param]() as tools:
        yield tools


def named(tools: Tools, name: str) -> str:
    """What the source calls it."""
    return next(tool.name for tool in tools.offered() if tool.name.rpartition("__")[2] == name)


async def pieces(tools: Tools, name: str, arguments: Mapping[str, Any]) -> list[ToolProgress | ToolOutput]:
    return [piece async for piece in tools.call(named(tools, name), arguments, CONTEXT)]


async def test_what_is_offered_fits_every_provider(tools: Tools):
    offered = tools.offered()

    names = [tool.name for tool in offered]
    assert len(set(names)) == len(names)
    for tool in offered:
        assert tool.name.replace("_", "").replace("-", "").isalnum()
        assert tool.name.isascii()
        assert 1 <= len(tool.name) <= MAX_NAME_CHARS
        assert tool.parameters["type"] == "object"
        require_storable(tool.parameters)
        assert tool.by is CarriedOutBy.SERVER


async def test_what_is_offered_stays_what_it_is(tools: Tools):
    assert tools.offered() == tools.offered()


async def test_a_call_ends_in_one_output(tools: Tools):
    assert await pieces(tools, "echo", {"text": "hällo"}) == [ToolOutput("hällo")]


async def test_progress_comes_before_the_output(tools: Tools):
    *progress, output = await pieces(tools, "steps", {"count": 3})

    assert isinstance(output, ToolOutput)
    assert len(progress) == 3
    for piece in progress:
        assert isinstance(piece, ToolProgress)
        require_storable({"data": piece.data})


async def failure(tools: Tools, name: str, arguments: Mapping[str, Any]) -> str:
    """What is said of it, as an error or by an output that is called one."""
    try:
        output = (await pieces(tools, name, arguments))[-1]
    except ToolError as error:
        return str(error)
    assert isinstance(output, ToolOutput)
    assert output.is_error
    return output.content


async def test_a_failure_is_an_error_or_an_output_that_is_called_one(tools: Tools):
    assert await failure(tools, "fail", {})


@pytest.mark.parametrize("arguments", [{}, {"text": 3.5, "more": None}, {"text": {"deep": ["er"]}}, {"x": "\0"}])
async def test_arguments_that_do_not_fit_are_an_error_that_says_so(tools: Tools, arguments: dict[str, Any]):
    assert await failure(tools, "echo", arguments)


async def test_a_name_that_is_not_offered_is_an_error(tools: Tools):
    for name in ("nothing", "", named(tools, "echo") + "_", "\0"):
        with pytest.raises(ToolError):
            [piece async for piece in tools.call(name, {}, CONTEXT)]


async def test_a_call_is_given_up_by_closing_it_and_by_cancelling_it(tools: Tools):
    async with asyncio.timeout(1):
        async with aclosing(tools.call(named(tools, "steps"), {"count": 1000}, CONTEXT)) as steps:
            assert isinstance(await anext(steps), ToolProgress)

        waiting = asyncio.create_task(pieces(tools, "hang", {}))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert await pieces(tools, "echo", {"text": "still there"}) == [ToolOutput("still there")]


async def test_calls_stand_beside_each_other(tools: Tools):
    texts = [str(number) for number in range(20)]
    answers = await asyncio.gather(*(pieces(tools, "echo", {"text": text}) for text in texts))
    assert answers == [[ToolOutput(text)] for text in texts]


@pytest.mark.parametrize("source", SOURCES)
async def test_leaving_leaves_nothing_behind(source: str):
    async with SOURCES[source]() as tools:
        hanging = asyncio.create_task(pieces(tools, "hang", {}))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await tools.aclose()
            with pytest.raises((ToolError, asyncio.CancelledError)):
                await hanging
