"""Tools in memory: whatever a program gives, without checking arguments."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from chatorch.domain.model.tools import Tool
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress, Tools

Carried = Callable[[Mapping[str, Any], ToolContext], AsyncGenerator[ToolProgress | ToolOutput]]


class MemoryTools(Tools):
    """`tools` with what carries each out."""

    def __init__(self, *tools: tuple[Tool, Carried]) -> None:
        self._tools = {tool.name: (tool, carry) for tool, carry in tools}

    def offered(self) -> Sequence[Tool]:
        return [tool for tool, _ in self._tools.values()]

    async def settled(self) -> None:
        """It is known from the beginning."""

    def call(
        self, name: str, arguments: Mapping[str, Any], context: ToolContext
    ) -> AsyncGenerator[ToolProgress | ToolOutput]:
        if name not in self._tools:
            raise ToolError("There is no tool of this name.")
        return self._tools[name][1](arguments, context)

    async def aclose(self) -> None:
        """Nothing is open."""
