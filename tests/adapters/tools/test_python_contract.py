"""What the port says, of functions."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from chatorch.domain.model.tools import MAX_NAME_CHARS, CarriedOutBy
from chatorch.ports.tools import ToolArgumentsInvalid, ToolError, ToolOutput, ToolProgress, Tools
from tests.support.python_tools import python_tools
from tests.support.tool_calls import CONTEXT, output, told


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    tools = python_tools()
    async with asyncio.timeout(20):
        yield tools
    await tools.aclose()


async def test_names_are_unique_and_providers_take_them_and_schemas_are_objects(tools: Tools):
    offered = tools.offered()
    names = [each.name for each in offered]
    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= MAX_NAME_CHARS for name in names)
    for each in offered:
        assert json.loads(json.dumps(each.parameters))["type"] == "object"
        assert each.by is CarriedOutBy.SERVER
    assert tools.offered() is offered, "it costs nothing"


async def test_progress_comes_first_and_one_output_last(tools: Tools):
    assert await told(tools, "counts", to=2) == [ToolProgress(0), ToolProgress(1), ToolOutput("2")]
    assert await told(tools, "echo", text="a") == [ToolOutput("a")]


async def test_a_call_knows_on_whose_behalf_it_is_made(tools: Tools):
    assert (await output(tools, "who")).content == "usr_1 thr_1 run_1 run_1:0"


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("nothing", {}, ToolError),
        ("echo", {}, ToolArgumentsInvalid),
        ("echo", {"text": {"hunter2": 1}}, ToolArgumentsInvalid),
        ("refuses", {}, ToolError),
        ("breaks", {}, ToolError),
    ],
)
async def test_whatever_goes_wrong_is_an_error_that_can_be_shown(
    tools: Tools, name: str, arguments: dict[str, object], kind: type[ToolError]
):
    with pytest.raises(ToolError) as caught:
        await output(tools, name, arguments)
    assert type(caught.value) is kind
    assert str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert await output(tools, "echo", text="still there") == ToolOutput("still there")


async def test_a_call_can_be_given_up_at_any_time(tools: Tools):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await output(tools, "hangs")
    calling = tools.call("counts", {"to": 1000}, CONTEXT)
    assert await anext(calling) == ToolProgress(0)
    await calling.aclose()
    assert [said async for said in calling] == []
    unheard = tools.call("counts", {"to": 1000}, CONTEXT)
    await unheard.aclose()
    assert await output(tools, "echo", text="still there") == ToolOutput("still there")


async def test_many_at_once_do_not_mix(tools: Tools):
    calls = [output(tools, "echo", text=str(number)) for number in range(100)]
    assert [said.content for said in await asyncio.gather(*calls)] == [str(number) for number in range(100)]
