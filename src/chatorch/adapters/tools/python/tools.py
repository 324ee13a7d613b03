"""The operator's own functions, behind the port."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import structlog

from chatorch.adapters.tools.python.calls import Call
from chatorch.adapters.tools.python.functions import PythonTool, tool_of
from chatorch.adapters.tools.python.installed import Refused, installed_tools
from chatorch.adapters.tools.python.threads import Threads
from chatorch.adapters.tools.python.unusable import UnusableTool
from chatorch.domain.model.tools import Tool
from chatorch.ports.tools import ToolContext, ToolError, ToolOutput, ToolProgress, Tools

THREADS = 8
TIDYING_UP_S = 1

log = structlog.get_logger(__name__)


class PythonTools(Tools):
    """Functions, each a tool (`chatorch.tools.tool`).

    An async one runs on the event loop; another one in one of `threads` threads, and waits for one where all are taken.
    Its arguments are checked and made where it runs. An iterator that an async one gives is read in a thread, too.
    One that was given up is cancelled; in a thread it cannot be, and has its thread until it is done. Where all threads
    hang, further calls of such functions wait until they are given up, too; the log says so once. `refused` is what is
    installed and cannot be offered.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]] = (), *, threads: int = THREADS) -> None:
        """Raises `UnusableTool` for a function that is no tool, and for two of one name."""
        self.refused: Sequence[Refused] = ()
        self._tools: dict[str, PythonTool] = {}
        self._offered: tuple[Tool, ...] = ()
        self._threads = Threads(threads)
        self._running: set[asyncio.Task[None]] = set()
        self._offer(map(tool_of, functions))

    @classmethod
    def installed(cls, *, threads: int = THREADS) -> Self:
        """Those of installed packages: `installed_tools`. Raises nothing."""
        tools = cls(threads=threads)
        offered, tools.refused = installed_tools()
        tools._offer(offered)
        return tools

    def offered(self) -> Sequence[Tool]:
        return self._offered

    async def settled(self) -> None:
        """It is known from the beginning."""

    async def call(
        self, name: str, arguments: Mapping[str, Any], context: ToolContext
    ) -> AsyncGenerator[ToolProgress | ToolOutput]:
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError("There is no such tool.")
        said = Call(tool, arguments, context, self._threads).told(self._running)
        try:
            async for each in said:
                yield each
        finally:
            await said.aclose()

    async def aclose(self) -> None:
        """What still runs is cancelled, and may tidy up for a moment; then it is forgotten. No thread is waited for."""
        self._threads.close()
        running = set(self._running)
        for task in running:
            task.cancel()
        stubborn = (await asyncio.wait(running, timeout=TIDYING_UP_S))[1] if running else set()
        for task in stubborn:
            # Who ends the event loop waits for all tasks that are known (docs.python.org, Extending asyncio)
            asyncio._unregister_task(task)  # noqa: SLF001
        if stubborn:
            log.error("tools_would_not_end", tools=sorted(task.get_name() for task in stubborn))

    def _offer(self, tools: Iterable[PythonTool]) -> None:
        for each in tools:
            if each.tool.name in self._tools:
                raise UnusableTool(f"{each.tool.name}: two tools have this name")
            self._tools[each.tool.name] = each
        self._offered = tuple(each.tool for each in self._tools.values())
