"""Functions that do what a suite over all sources of tools asks of one."""

import asyncio
from collections.abc import Generator

from chatorch.adapters.tools.python import PythonTools
from chatorch.tools import ToolContext, ToolError, tool


@tool(idempotent=True)
def echo(text: str) -> str:
    """Says it again."""
    return text


async def who(context: ToolContext) -> str:
    return f"{context.principal.user_id} {context.thread_id} {context.run_id} {context.idempotency_key}"


def counts(to: int) -> Generator[int, None, int]:
    yield from range(to)
    return to


@tool(needs_approval=True)
async def refuses() -> None:
    raise ToolError("Not today.")


async def breaks() -> None:
    raise RuntimeError("hunter2")


async def hangs() -> None:
    await asyncio.Event().wait()


def python_tools() -> PythonTools:
    return PythonTools([echo, who, counts, refuses, breaks, hangs])
