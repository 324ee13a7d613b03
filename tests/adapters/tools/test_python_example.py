"""The package that docs/tools.md shows."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chatorch.adapters.tools.python import PythonTools
from chatorch.tools import ToolError, ToolOutput, ToolProgress
from tests.support.tool_calls import output, told

TEXT = (Path(__file__).parents[3] / "docs" / "tools.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    [found] = [each for each in blocks if containing in each]
    return found


async def test_the_first_tool_works_as_it_is_told():
    module: dict[str, Any] = {"__name__": "shop_tools"}
    exec(compile(block("python", "TOOLS = [in_stock]"), "shop_tools.py", "exec"), module)
    tools = PythonTools(module["TOOLS"])
    assert await output(tools, "in_stock", item="tea") == ToolOutput('{"count":3}')
    assert await output(tools, "in_stock", item="gold") == ToolOutput('{"count":0}')
    await tools.aclose()


async def test_it_works_as_it_is_told():
    named = tomllib.loads(block("toml", "chatorch.tools"))["project"]["entry-points"]["chatorch.tools"]
    assert named == {"shop": "shop_tools:TOOLS"}
    module: dict[str, Any] = {"__name__": "shop_tools"}
    exec(compile(block("python", "TOOLS = [in_stock, order]"), "shop_tools.py", "exec"), module)
    tools = PythonTools(module["TOOLS"])
    offered = [
        (each.name, each.needs_approval, each.idempotent, set(each.parameters["properties"]))
        for each in tools.offered()
    ]
    assert offered == [("in_stock", False, True, {"item"}), ("order", True, False, {"item", "count"})]
    assert await output(tools, "in_stock", item="tea") == ToolOutput('{"count":3}')
    with pytest.raises(ToolError, match="There are: tea, salt"):
        await output(tools, "in_stock", item="gold")
    assert await told(tools, "order", item="tea", count=2) == [
        *(ToolProgress({"packed": 1}), ToolProgress({"packed": 2})),
        ToolOutput("Ordered for ann, as run_1:0."),
    ]
    await tools.aclose()
