"""Turns with tools: what a model says that calls some, and tools in a test's hands."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatorch.adapters.memory.tools import MemoryTools
from chatorch.domain.model.parts import PartKind
from chatorch.domain.model.tools import Tool
from chatorch.ports.chat_model import Finish, PartEnd, PartStart
from chatorch.ports.tools import ToolContext, ToolOutput, ToolProgress
from tests.support.fakes import PROVIDER_USAGE, Pause

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
ASKS = Finish("tool_calls", PROVIDER_USAGE)


def calling(name: str, call_id: str = "c1", /, **arguments: Any) -> tuple[PartStart, str, PartEnd]:
    """A call as a model asks for it."""
    return PartStart(PartKind.TOOL_CALL, {"id": call_id, "name": name}), json.dumps(arguments), PartEnd()


def tool(name: str, **about: Any) -> Tool:
    return Tool(name, f"Does {name}.", SCHEMA, **about)


@dataclass
class Handled:
    """A tool that says `says`, an error if it is one, after `waits`; `made` has each call's arguments and context."""

    name: str
    says: str | BaseException | ToolOutput = "done"
    waits: Pause | None = None
    about: dict[str, Any] = field(default_factory=dict)
    progress: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.tool = tool(self.name, **self.about)
        self.made: list[tuple[Mapping[str, Any], ToolContext]] = []

    async def carry_out(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> AsyncGenerator[ToolProgress | ToolOutput]:
        self.made.append((arguments, context))
        for data in self.progress:
            yield ToolProgress(data)
        if self.waits is not None:
            await self.waits.hold()
        if isinstance(self.says, BaseException):
            raise self.says
        yield self.says if isinstance(self.says, ToolOutput) else ToolOutput(self.says)


def handled(*tools: Handled) -> MemoryTools:
    return MemoryTools(*((each.tool, each.carry_out) for each in tools))
