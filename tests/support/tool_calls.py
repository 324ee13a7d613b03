"""Calling tools as the loop does, and who they are called for."""

from typing import Any

from chatorch.domain.model.conversation import RunId, ThreadId
from chatorch.domain.model.identity import Principal, Scope, UserId
from chatorch.ports.tools import ToolContext, ToolOutput, ToolProgress, Tools

ANN = Principal(UserId("usr_1"), "ann", frozenset({Scope.CHAT}))
CONTEXT = ToolContext(ANN, ThreadId("thr_1"), RunId("run_1"), "run_1:0")


async def told(tools: Tools, name: str, arguments: Any = None, **more: Any) -> list[ToolProgress | ToolOutput]:
    """All that a call says, to its end."""
    return [said async for said in tools.call(name, {**(arguments or {}), **more}, CONTEXT)]


async def output(tools: Tools, name: str, arguments: Any = None, **more: Any) -> ToolOutput:
    *_, last = await told(tools, name, arguments, **more)
    assert isinstance(last, ToolOutput)
    return last
